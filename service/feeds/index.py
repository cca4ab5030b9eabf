"""Keeps the published items up to date with the tags of the entries."""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from reader import Entry, Reader

from service.feeds.database import Database
from service.feeds.items import Item, facts_of, item_of, known, microseconds, words_of
from service.feeds.plugin import TAG
from service.topics import TOPICS

BACKLOG = timedelta(days=1)  # published so long before it was first seen, an item is no news

_BATCH = (
    100  # entries worked off at a time, while others wait for the lock: a twentieth of a second
)

Observer = Callable[[sqlite3.Connection, Item], None]


def refresh(database: Database, reader: Reader, observe: Observer) -> None:
    """Work off the changes of tags.

    Parameters
    ----------
    database : Database
    reader : Reader
        Of the same file.
    observe : callable
        Gets each item that is kept, in the transaction that keeps it.

    Raises
    ------
    FeedsError
        The database cannot be written; the next call goes on from there.
    """
    while True:
        # Entries are read under the lock, so that no older state of one can overwrite a newer.
        with database.writing() as connection:
            changes = connection.execute(
                "SELECT number, feed, id FROM geotopics_changes ORDER BY number LIMIT ?", (_BATCH,)
            ).fetchall()
            if not changes:
                return
            for feed, entry_id in dict.fromkeys(change[1:] for change in changes):
                item = _keep(connection, reader, feed, entry_id)
                if item is not None:
                    observe(connection, item)
            connection.execute("DELETE FROM geotopics_changes WHERE number <= ?", (changes[-1][0],))


def mask(topics: Iterable[str]) -> int:
    """Write topics as the bits of a number."""
    return sum(1 << TOPICS.index(topic) for topic in set(known(topics)))


def _keep(connection: sqlite3.Connection, reader: Reader, feed: str, entry_id: str) -> Item | None:
    # Most entries carry no topic, and reading a tag is far cheaper than reading an entry.
    tag: Any = reader.get_tag((feed, entry_id), TAG, None)
    entry = reader.get_entry((feed, entry_id), None) if tag and known(tag["topics"]) else None
    if entry is None:
        _drop(connection, feed, entry_id)
        return None
    changed = microseconds(datetime.now(UTC))
    facts = facts_of(entry, tag)
    [number] = connection.execute(
        """
        INSERT INTO geotopics_items (feed, id, placed, topics, changed, facts)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (feed, id) DO UPDATE SET
            placed = excluded.placed, topics = excluded.topics,
            changed = excluded.changed, facts = excluded.facts
        RETURNING number
        """,
        (feed, entry_id, microseconds(_placed(entry)), mask(tag["topics"]), changed, facts),
    ).fetchone()
    title, text = words_of(entry)
    connection.execute(
        "INSERT OR REPLACE INTO geotopics_words (rowid, title, text) VALUES (?, ?, ?)",
        (number, title, text),
    )
    return item_of(changed, facts, title, text)


def _drop(connection: sqlite3.Connection, feed: str, entry_id: str) -> None:
    for (number,) in connection.execute(
        "DELETE FROM geotopics_items WHERE feed = ? AND id = ? RETURNING number", (feed, entry_id)
    ).fetchall():
        connection.execute("DELETE FROM geotopics_words WHERE rowid = ?", (number,))


def _placed(entry: Entry) -> datetime:
    # By arrival, so that nobody who looks at the newest page misses an item that came late; only
    # what a feed already had when it was first polled stands where it was published.
    published = entry.published or entry.updated
    if published is not None and published < entry.added - BACKLOG:
        return published
    return entry.added
