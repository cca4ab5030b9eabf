"""A tagged entry as it is published: plain text, a stable id, dates that are not in the future."""

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reader import Entry

from service.feeds.plugin import feed_paragraphs
from service.feeds.text import html_to_text
from service.topics import TOPICS

EXCERPT_CHARACTERS = 1_000  # of the text that are published; the rest is read at the source
_TITLE_CHARACTERS = 80  # of a text whose beginning stands in for a title
_EPOCH = datetime.fromtimestamp(0, UTC)

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0 cannot write these


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


def facts_of(entry: Entry, tag: dict[str, Any]) -> str:
    """Write down, as JSON, what `item_of` needs beside the words."""
    published = min(entry.published or entry.updated or entry.added, entry.added)
    updated = min(entry.updated or published, entry.last_updated)
    authors = ", ".join(author.name for author in entry.authors if author.name)
    link = _web_address(entry.feed.link)
    facts = {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, f"{entry.original_feed_url}\n{entry.id}").urn,
        "link": _web_address(entry.link) or link,
        "author": _plain(authors) or None,
        "published": published.isoformat(),
        "updated": max(published, updated).isoformat(),
        "added": entry.added.isoformat(),
        "source": {
            "url": entry.feed_url,
            "title": _plain(entry.feed_resolved_title) or entry.feed_url,
            "link": link,
        },
        "topics": known(tag["topics"]),
        "primary": tag["primary"],
        "scores": {topic: tag["scores"][topic] for topic in known(tag["scores"])},
        "model": tag["model"],
    }
    return json.dumps(facts, ensure_ascii=False)


def words_of(entry: Entry) -> tuple[str, str]:
    """Take title and text of an entry, whole, for search."""
    title = _plain(entry.title)
    paragraphs = feed_paragraphs(entry)[1 if title else 0 :]
    text = _clean("\n\n".join(paragraphs))
    return title or text[:_TITLE_CHARACTERS] or "Untitled", text


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


def known(topics: Iterable[str]) -> list[str]:
    """Leave out topics that only another version of this program knows."""
    return [topic for topic in topics if topic in TOPICS]


def microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970 to an aware moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _web_address(link: str | None) -> str | None:
    link = _clean(link or "")
    return link if link.lower().startswith(("http://", "https://")) else None


def _plain(html: str | None) -> str:
    return " ".join(_clean(html_to_text(html or "")).split())


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text).strip()
