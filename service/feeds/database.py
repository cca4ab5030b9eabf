"""The tables that publishing keeps in the file of feeds, beside those of `reader`.

`reader` finds entries by the keys of their tags and not by their values; among 200,000 that takes
it half a second, and its full-text search longer. So what is published stands in tables of our own,
in the same file, so that there is one file to keep and one lock:

``geotopics_items``
    a row for each entry that carries a topic;
``geotopics_words``
    its title and text, for full-text search;
``geotopics_changes``
    entries whose tag was set, replaced or deleted since the items were last brought up to date;
``geotopics_subscriptions``, ``geotopics_deliveries``
    see `service.feeds.webhooks`.

Triggers write the changes in the transaction that changes the tag, so none is lost when a process
is killed. `service.feeds.index` works them off. The first fill, and one after the triggers were
lost, is the same path: every tagged entry counts as changed, the latest first.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import GeotopicsError
from service.feeds import TAG

DATABASE = "feeds.sqlite"
_WAIT_SECONDS = 30  # for the lock, while others write

_TRIGGERS = ("geotopics_tag_set", "geotopics_tag_replaced", "geotopics_tag_deleted")
# ruff: noqa: S608 - names are constants; SQLite takes no parameters in a trigger.
_STATEMENTS = (
    """
    CREATE TABLE IF NOT EXISTS geotopics_changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT, feed TEXT NOT NULL, id TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS geotopics_items (
        number INTEGER PRIMARY KEY,
        feed TEXT NOT NULL,
        id TEXT NOT NULL,
        placed INTEGER NOT NULL,
        topics INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        facts TEXT NOT NULL,
        UNIQUE (feed, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS geotopics_newest
    ON geotopics_items (placed DESC, number DESC, topics)
    """,
    """
    CREATE INDEX IF NOT EXISTS geotopics_newest_of_feed
    ON geotopics_items (feed, placed DESC, number DESC, topics)
    """,
    """
    CREATE VIRTUAL TABLE IF NOT EXISTS geotopics_words
    USING fts5 (title, text, tokenize = 'porter unicode61')
    """,
    """
    CREATE TABLE IF NOT EXISTS geotopics_subscriptions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        url TEXT NOT NULL,
        topic TEXT,
        min_score REAL NOT NULL,
        secret TEXT NOT NULL,
        added INTEGER NOT NULL,
        stopped INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0,
        given_up INTEGER NOT NULL DEFAULT 0,
        problem TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS geotopics_deliveries (
        subscription INTEGER NOT NULL,
        item TEXT NOT NULL,
        body TEXT NOT NULL,
        created INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        due INTEGER,
        PRIMARY KEY (subscription, item)
    )
    """,
    "DROP TRIGGER IF EXISTS geotopics_tag_set",
    f"""
    CREATE TRIGGER geotopics_tag_set AFTER INSERT ON entry_tags WHEN new.key = '{TAG}' BEGIN
        INSERT INTO geotopics_changes (feed, id) VALUES (new.feed, new.id);
    END
    """,
    "DROP TRIGGER IF EXISTS geotopics_tag_replaced",
    f"""
    CREATE TRIGGER geotopics_tag_replaced AFTER UPDATE ON entry_tags WHEN new.key = '{TAG}' BEGIN
        INSERT INTO geotopics_changes (feed, id) VALUES (old.feed, old.id), (new.feed, new.id);
    END
    """,
    "DROP TRIGGER IF EXISTS geotopics_tag_deleted",
    f"""
    CREATE TRIGGER geotopics_tag_deleted AFTER DELETE ON entry_tags WHEN old.key = '{TAG}' BEGIN
        INSERT INTO geotopics_changes (feed, id) VALUES (old.feed, old.id);
    END
    """,
    f"""
    INSERT INTO geotopics_changes (feed, id)
    SELECT feed, id FROM entry_tags WHERE key = '{TAG}' ORDER BY rowid DESC
    """,
)


class FeedsError(GeotopicsError):
    """The feeds cannot be read, or one cannot be added or removed."""


class Database:
    """The file of feeds of an installation.

    Parameters
    ----------
    instance : Path
        The folder that it is in.
    """

    def __init__(self, instance: Path) -> None:
        self.path = instance / DATABASE

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the lock for a transaction; tables are made where they are missing.

        Raises
        ------
        FeedsError
            The file cannot be written; nothing of the transaction is kept.
        """
        try:
            connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                if not _has(connection, *_TRIGGERS):
                    for statement in _STATEMENTS:
                        connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()  # takes back what was not committed
        except sqlite3.Error as error:
            raise FeedsError(
                f"{self.path} cannot be written ({error}); nothing is half-written"
            ) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the file to read; None where nothing has been published from it so far.

        Raises
        ------
        FeedsError
            The file cannot be read.
        """
        if not self.path.exists():
            yield None
            return
        try:
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS
            )
            try:
                yield connection if _has(connection, *_TRIGGERS) else None
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise FeedsError(f"{self.path} cannot be read ({error})") from error


def _has(connection: sqlite3.Connection, *names: str) -> bool:
    marks = ", ".join("?" * len(names))
    [found] = connection.execute(
        f"SELECT count(*) FROM sqlite_master WHERE name IN ({marks})",
        names,
    ).fetchone()
    return bool(found == len(names))
