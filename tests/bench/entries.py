"""Answers from 200,000 stored items: topic feeds and pages of entries.

Entries and tags are written as `reader` stores them; the items are published from them by our own
code. Texts and topics are those of the shipped corpus, over and over.
"""

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from flask.testing import FlaskClient

from service.config import Settings
from service.feeds import TAG
from service.feeds.database import DATABASE
from service.feeds.library import open_reader
from service.feeds.publishing import publish
from service.http import create_app
from service.store import ModelStore
from service.topics import TOPICS
from tests.bench.rounds import Line
from training.corpus import Paragraph

ITEMS = 200_000
FEEDS = 2_000
ROUNDS = 15

TOPIC_FEEDS = ("/feeds/defense.atom", "/feeds/territorial-dispute.rss", "/feeds/any.json")
FILTERED = (
    "/v1/entries?topics=trade",
    "/v1/entries?topics=defense,trade,diplomacy&all=1",
    "/v1/entries?topics=defense,trade&since=2026-02-01",
    f"/v1/entries?topics=diplomacy&source=https://news{FEEDS // 2}.example/feed",
    "/v1/entries?topics=trade&q=tariffs",
    "/v1/entries?q=minister",
)


def answers(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Measure the slowest topic feed and the slowest page of filtered entries."""
    with tempfile.TemporaryDirectory() as instance:
        settings = Settings(models=store.root, instance=Path(instance))
        publishing = fill(settings, paragraphs)
        client = create_app(settings).test_client()
        detail = f"slowest of {{}}, median of {ROUNDS}, {ITEMS:,} items stored"
        for name, addresses, limit in (
            ("topic feed", TOPIC_FEEDS, 50),
            ("page of entries with a filter", FILTERED, 100),
        ):
            found = max(milliseconds(client, address) for address in addresses)
            text = detail.format(len(addresses))
            yield Line(name, found, "ms", limit, None, text, below=True)
    yield Line(
        "publishing an item", publishing, "ms", None, None, "once, beside the polls", below=True
    )


def milliseconds(client: FlaskClient, address: str) -> float:
    """Take the median time of an answer."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = client.get(address)
        times.append(time.perf_counter() - began)
        if answer.status_code != 200 or len(answer.data) < 500:
            raise RuntimeError(f"{address}: {answer.text}")
    return 1_000 * median(times)


def fill(settings: Settings, paragraphs: Sequence[Paragraph]) -> float:
    """Store and publish the items; return how long publishing took, in milliseconds an item."""
    with open_reader(settings) as reader:
        for number in range(FEEDS):
            reader.add_feed(f"https://news{number}.example/feed")
        database = sqlite3.connect(settings.instance / DATABASE)
        with database:
            database.executemany(
                "INSERT INTO entries (id, feed, title, link, published, summary, added_by, read, "
                "last_updated, first_updated, first_updated_epoch, feed_order, recent_sort) "
                "VALUES (?, ?, ?, ?, ?, ?, 'feed', 0, ?, ?, ?, 0, ?)",
                _entries(paragraphs),
            )
            database.executemany("INSERT INTO entry_tags VALUES (?, ?, ?, ?)", _tags(paragraphs))
        database.close()
        began = time.perf_counter()
        publish(settings, reader)
        return 1_000 * (time.perf_counter() - began) / ITEMS


def _numbered(paragraphs: Sequence[Paragraph]) -> Iterator[tuple[int, str, Paragraph]]:
    for number in range(ITEMS):
        feed = f"https://news{number % FEEDS}.example/feed"
        yield number, feed, paragraphs[number % len(paragraphs)]


def _entries(paragraphs: Sequence[Paragraph]) -> Iterator[tuple[Any, ...]]:
    newest = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    for number, feed, paragraph in _numbered(paragraphs):
        date = (newest - timedelta(minutes=number)).isoformat(" ")
        link = f"{feed}/{number}"
        text = f"<p>{escape(paragraph.text)}</p>"
        yield link, feed, paragraph.text[:70], link, date, text, date, date, date, date


def _tags(paragraphs: Sequence[Paragraph]) -> Iterator[tuple[str, str, str, str]]:
    for number, feed, paragraph in _numbered(paragraphs):
        topics = [topic for topic in TOPICS if topic in paragraph.topics]
        value = {
            "model": "0123456789ab",
            "topics": topics,
            "primary": next(iter(topics), None),
            "scores": {topic: 0.9 if topic in topics else 0.1 for topic in TOPICS},
        }
        yield f"{feed}/{number}", feed, TAG, json.dumps(value)
