"""Tagged entries for tests of what is published."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from reader import Reader

from service.config import Settings
from service.feeds import TAG
from service.feeds.library import open_reader
from service.feeds.publishing import publish
from service.topics import TOPICS

FEED = "https://news.example/world.xml"
OTHER = "https://desk.example/feed.json"


def add(
    reader: Reader,
    name: str,
    topics: Sequence[str],
    *,
    feed: str = FEED,
    score: float = 0.9,
    **fields: Any,
) -> None:
    """Add an entry with its tag, as a poll would."""
    reader.add_feed(feed, exist_ok=True)
    entry = {
        "feed_url": feed,
        "id": name,
        "title": f"Title of {name}",
        "link": f"https://news.example/{name}",
        "summary": f"<p>First paragraph of {name}.</p><p>Ships &amp; <b>troops</b> wait.</p>",
        "published": datetime.now(UTC) - timedelta(hours=1),
    }
    reader.add_entry(entry | fields)
    retag(reader, name, topics, feed=feed, score=score)


def retag(
    reader: Reader, name: str, topics: Sequence[str], *, feed: str = FEED, score: float = 0.9
) -> None:
    value: Any = {
        "model": "0123456789ab",
        "topics": list(topics),
        "primary": next(iter(topics), None),
        "scores": {topic: score if topic in topics else 0.1 for topic in TOPICS},
        "paragraphs": [],
        "source": "feed",
    }
    reader.set_tag((feed, name), TAG, value)


def fill(settings: Settings) -> None:
    """Publish a few entries of two feeds."""
    with open_reader(settings) as reader:
        add(reader, "one", ["defense"])
        add(reader, "two", ["trade", "diplomacy"])
        add(reader, "three", ["territorial-dispute", "defense"], feed=OTHER)
        add(reader, "four", [])
        publish(settings, reader)
