"""A tagged entry as it is published: plain text, a stable id, dates that are not in the future."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.topics import TOPICS

EXCERPT_CHARACTERS = 1_000  # of the text that are published; the rest is read at the source
_EPOCH = datetime.fromtimestamp(0, UTC)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Source:
    """The feed that an item is from."""

    url: str
    title: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A tagged entry as it is published.

    Attributes
    ----------
    id : str
        A URI that stays the same when the feed moves.
    title, text : str
        Plain text; the title is never empty, the text is at most `EXCERPT_CHARACTERS` long.
    link : str or None
        Web address of what it is about.
    author : str or None
    published, updated, added : datetime
        UTC. When it was first seen is `added`; the others are never later than it was seen so.
    source : Source
    topics : tuple of str
        At least one, best first.
    primary : str or None
    scores : dict of str to float
    model : str
        Version of the model that tagged it.
    changed : datetime
        When its tags or content last changed here, UTC.
    """

    id: str
    title: str
    text: str
    link: str | None
    author: str | None
    published: datetime
    updated: datetime
    added: datetime
    source: Source
    topics: tuple[str, ...]
    primary: str | None
    scores: dict[str, float]
    model: str
    changed: datetime


def item_of(changed: int, facts: str, title: str, text: str) -> Item:
    """Build an item from what is kept of it; `changed` is in microseconds since 1970."""
    found: dict[str, Any] = json.loads(facts)
    for name in ("published", "updated", "added"):
        found[name] = datetime.fromisoformat(found[name])
    found["source"] = Source(**found["source"])
    found["topics"] = tuple(found["topics"])
    excerpt = text if len(text) <= EXCERPT_CHARACTERS else f"{text[: EXCERPT_CHARACTERS - 1]}…"
    moment = _EPOCH + timedelta(microseconds=changed)
    return Item(title=title, text=excerpt, changed=moment, **found)


def described(item: Item) -> dict[str, Any]:
    """Describe an item as JSON has it, in the interface and in what is sent to subscribers."""
    found = asdict(item)
    for name in ("published", "updated", "added", "changed"):
        found[name] = found[name].isoformat().replace("+00:00", "Z")
    return found


def printable(text: str) -> str:
    """Leave out what XML has no way to write, and space at both ends."""
    return _FORBIDDEN.sub("", text).strip()


def known(topics: Iterable[str]) -> list[str]:
    """Leave out topics that only another version of this program knows."""
    return [topic for topic in topics if topic in TOPICS]


def mask(topics: Iterable[str]) -> int:
    """Write topics as the bits of a number."""
    return sum(1 << TOPICS.index(topic) for topic in set(known(topics)))


def microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970 to an aware moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
