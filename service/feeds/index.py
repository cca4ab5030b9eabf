"""Keeps the published items up to date with the tags of the entries."""

import json
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from reader import Entry, Reader

from service.feeds import TAG
from service.feeds.database import Database
from service.feeds.items import Item, item_of, known, mask, microseconds, printable
from service.feeds.plugin import EntryId, feed_paragraphs
from service.feeds.text import html_to_text

BACKLOG = timedelta(days=1)  # published so long before it was first seen, an item is no news

_BATCH = (
    100  # entries worked off at a time, while others wait for the lock: a twentieth of a second
)

_CHANGES = """
SELECT number, feed, id, value
FROM geotopics_changes
LEFT JOIN (SELECT feed, id, value FROM entry_tags WHERE key = ?) USING (feed, id)
ORDER BY number LIMIT ?
"""

_TITLE_CHARACTERS = 80  # of a text whose beginning stands in for a title

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
            changes = connection.execute(_CHANGES, (TAG, _BATCH)).fetchall()
            if not changes:
                return
            for feed, entry_id, value in dict.fromkeys(change[1:] for change in changes):
                item = _keep(connection, reader, (feed, entry_id), json.loads(value or "{}"))
                if item is not None:
                    observe(connection, item)
            connection.execute("DELETE FROM geotopics_changes WHERE number <= ?", changes[-1][:1])


def _keep(
    connection: sqlite3.Connection, reader: Reader, place: EntryId, tag: dict[str, Any]
) -> Item | None:
    # Most entries carry no topic, and to read an entry takes longest.
    entry = reader.get_entry(place, None) if known(tag.get("topics", ())) else None
    if entry is None:
        _drop(connection, place)
        return None
    changed = microseconds(datetime.now(UTC))
    facts = _facts(entry, tag)
    [number] = connection.execute(
        """
        INSERT INTO geotopics_items (feed, id, placed, topics, changed, facts)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (feed, id) DO UPDATE SET
            placed = excluded.placed, topics = excluded.topics,
            changed = excluded.changed, facts = excluded.facts
        RETURNING number
        """,
        (*place, microseconds(_placed(entry)), mask(tag["topics"]), changed, facts),
    ).fetchone()
    title, text = _words(entry)
    connection.execute(
        "INSERT OR REPLACE INTO geotopics_words (rowid, title, text) VALUES (?, ?, ?)",
        (number, title, text),
    )
    return item_of(changed, facts, title, text)


def _drop(connection: sqlite3.Connection, place: EntryId) -> None:
    for (number,) in connection.execute(
        "DELETE FROM geotopics_items WHERE feed = ? AND id = ? RETURNING number", place
    ).fetchall():
        connection.execute("DELETE FROM geotopics_words WHERE rowid = ?", (number,))


def _placed(entry: Entry) -> datetime:
    # By arrival, so that nobody who looks at the newest page misses an item that came late; only
    # what a feed already had when it was first polled stands where it was published.
    published = entry.published or entry.updated
    if published is not None and published < entry.added - BACKLOG:
        return published
    return entry.added


def _facts(entry: Entry, tag: dict[str, Any]) -> str:
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
            "url": printable(entry.feed_url),
            "title": _plain(entry.feed_resolved_title) or entry.feed_url,
            "link": link,
        },
        "topics": known(tag["topics"]),
        "primary": tag["primary"],
        "scores": {topic: tag["scores"][topic] for topic in known(tag["scores"])},
        "model": tag["model"],
    }
    return json.dumps(facts, ensure_ascii=False)


def _words(entry: Entry) -> tuple[str, str]:
    title = _plain(entry.title)
    paragraphs = feed_paragraphs(entry)[1 if title else 0 :]
    text = printable("\n\n".join(paragraphs))
    return title or text[:_TITLE_CHARACTERS] or "Untitled", text


def _web_address(link: str | None) -> str | None:
    link = printable(link or "")
    return link if link.lower().startswith(("http://", "https://")) else None


def _plain(html: str | None) -> str:
    return " ".join(printable(html_to_text(html or "")).split())
