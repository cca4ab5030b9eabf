"""Chooses published items by topic, source, words and time, newest first, a page at a time.

An item stands where its entry was first seen, or where it was published if that was more than
`service.feeds.index.BACKLOG` earlier; that place never changes. A cursor is the place of a page's
last item, so that whoever follows cursors meets every item that was there at the start, and none
twice, however many arrive meanwhile; and a cursor outlives the removal of its item.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from service.feeds.database import Database
from service.feeds.items import EXCERPT_CHARACTERS, Item, item_of, mask, microseconds
from service.topics import TOPICS

MOST = 100  # items on a page
DEFAULT = 50

CURSOR = r"^-?[0-9]{1,18}\.[0-9]{1,18}$"
_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items are wanted.

    Attributes
    ----------
    topics : tuple of str
        Of `service.topics.TOPICS`; an item carries one of them, or any topic where none is named.
    every : bool
        Whether it must carry all of them.
    source : str or None
        Address of the feed that it is from.
    words : str or None
        Words that its title or text has, in any form and order; a phrase stands in double quotes.
    since : datetime or None
        Earliest place, aware.
    limit : int
        Items on the page, from 1 to `MOST`.
    after : str or None
        Cursor of the page before; matches `CURSOR`.
    """

    topics: tuple[str, ...] = ()
    every: bool = False
    source: str | None = None
    words: str | None = None
    since: datetime | None = None
    limit: int = DEFAULT
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Items, newest first.

    Attributes
    ----------
    items : list of Item
    cursor : str or None
        For the next page; None on the last.
    """

    items: list[Item]
    cursor: str | None


def select(database: Database, selection: Selection) -> Page:
    """Find a page of items.

    Raises
    ------
    FeedsError
        The database cannot be read.
    """
    query, parameters = _query(selection)
    with database.reading() as connection:
        rows = connection.execute(query, parameters).fetchall() if connection else []
    items = [item_of(*row[2:]) for row in rows[: selection.limit]]
    if len(rows) <= selection.limit:
        return Page(items, None)
    placed, number, *_ = rows[selection.limit - 1]
    return Page(items, f"{placed}.{number}")


def _query(selection: Selection) -> tuple[str, dict[str, str | int]]:
    parameters: dict[str, str | int] = {
        "topics": mask(selection.topics or TOPICS),
        "limit": selection.limit + 1,
        "excerpt": EXCERPT_CHARACTERS + 1,
    }
    every = selection.every and selection.topics
    conditions = ["topics & :topics = :topics" if every else "topics & :topics"]
    if selection.source is not None:
        conditions.append("feed = :source")
        parameters["source"] = selection.source
    if selection.words is not None:
        conditions.append(
            "number IN (SELECT rowid FROM geotopics_words WHERE geotopics_words MATCH :words)"
        )
        parameters["words"] = _match(selection.words)
    if selection.since is not None:
        conditions.append("placed >= :since")
        parameters["since"] = microseconds(selection.since)
    if selection.after is not None:
        conditions.append("placed <= :placed AND (placed < :placed OR number > :number)")
        parameters |= zip(("placed", "number"), map(int, selection.after.split(".")), strict=True)
    # The page is found in an index alone; only then are its rows looked up. (A cross join keeps
    # SQLite from going through all words instead.)
    query = f"""
        WITH page AS MATERIALIZED (
            SELECT placed, number FROM geotopics_items WHERE {" AND ".join(conditions)}
            ORDER BY placed DESC, number LIMIT :limit
        )
        SELECT page.placed, page.number, changed, facts, title, substr(text, 1, :excerpt)
        FROM page
        CROSS JOIN geotopics_items USING (number) CROSS JOIN geotopics_words
            ON geotopics_words.rowid = page.number
        ORDER BY page.placed DESC, page.number
    """  # noqa: S608 - made of the constants above
    return query, parameters


def _match(words: str) -> str:
    # Quoted, nothing in a term is an operator of SQLite's query language.
    terms = [phrase or word for phrase, word in _TERM.findall(words.replace("\0", " "))]
    return " ".join(f'"{term}"' for term in terms) or '""'
