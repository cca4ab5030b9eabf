"""Webhooks: sends each new item once to every subscriber that wants it.

An item is new for a subscription if it was first seen after that was added, and was published less
than `NEWS` ago. It is put into an outbox in the transaction that publishes it, and stays there
until the receiver has answered with a status of 200 to 299. Until then it is sent again after
pauses that grow (`PAUSES`), and given up when it has waited for `NEWS`. A receiver that answers 410
is sent nothing more. Redirects are not followed. The list of subscriptions says what is wrong.

A process that is killed between sending and noting the answer leaves the item in the outbox: it is
sent at most once more for each time that happens, with the same ``webhook-id``.

Requests are signed as https://www.standardwebhooks.com has it, with the library of that name: the
header ``webhook-signature`` is ``v1,`` and the base64 of the HMAC-SHA256, with the subscription's
secret, over ``webhook-id``, ``webhook-timestamp`` and body, joined by full stops.
"""

import json
import logging
import secrets
import sqlite3
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from standardwebhooks import Webhook

from service.feeds import fetch
from service.feeds.database import Database, FeedsError
from service.feeds.items import Item, described, microseconds
from service.feeds.problems import describe

EVENT = "entry.tagged"
PAUSES = tuple(timedelta(seconds=count) for count in (30, 120, 480, 1_920, 7_680, 30_720))
NEWS = timedelta(days=1)

_SECRET_BYTES = 24
_LEASE = timedelta(minutes=2)  # longer than a request may take; then another process may try
_KEPT = timedelta(days=2)  # after that an item is no news, so that nothing can send it anew
_AT_ONCE = 8  # subscribers that are sent to at the same time
_GONE = 410

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscriber, and how it goes.

    Attributes
    ----------
    number : int
    url : str
        Where items are posted.
    topic : str or None
        Items that carry it; of any topic where None.
    min_score : float
        Least score of that topic, or of one that the item carries.
    delivered, waiting, given_up : int
        Items.
    problem : str or None
        What the last try came to, where it failed.
    stopped : bool
        Whether the receiver has said that it is gone.
    """

    number: int
    url: str
    topic: str | None
    min_score: float
    delivered: int
    waiting: int
    given_up: int
    problem: str | None
    stopped: bool


def subscribe(database: Database, url: str, topic: str | None, min_score: float) -> tuple[int, str]:
    """Add a subscription.

    Returns
    -------
    number : int
    secret : str
        For the receiver to check signatures with; it is told nowhere else.

    Raises
    ------
    FeedsError
        The URL is no web address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FeedsError(f"{url} is no web address; give one that starts with https://")
    secret = f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    with database.writing() as connection:
        cursor = connection.execute(
            "INSERT INTO geotopics_subscriptions (url, topic, min_score, secret, added) "
            "VALUES (?, ?, ?, ?, ?)",
            (url, topic, min_score, secret, microseconds(datetime.now(UTC))),
        )
        number = cursor.lastrowid or 0
    database.path.chmod(0o600)  # it holds secrets from now on
    return number, secret


def unsubscribe(database: Database, number: int) -> None:
    """Remove a subscription and what waits for it.

    Raises
    ------
    FeedsError
        There is none of this number.
    """
    with database.writing() as connection:
        removed = connection.execute(
            "DELETE FROM geotopics_subscriptions WHERE number = ?", (number,)
        ).rowcount
        connection.execute("DELETE FROM geotopics_deliveries WHERE subscription = ?", (number,))
    if not removed:
        raise FeedsError(f"there is no subscription {number}; `geotopics feeds notify list`")


def subscriptions(database: Database) -> list[Subscription]:
    """List the subscriptions in the order in which they were added."""
    with database.reading() as connection:
        rows = connection.execute(_LIST).fetchall() if connection else []
    return [Subscription(*row) for row in rows]


def enqueue(connection: sqlite3.Connection, item: Item) -> None:
    """Put an item into the outbox of every subscription that it is new for; never twice."""
    now = datetime.now(UTC)
    if item.published < now - NEWS:
        return
    for number, topic, min_score in connection.execute(
        "SELECT number, topic, min_score FROM geotopics_subscriptions "
        "WHERE NOT stopped AND added <= ?",
        (microseconds(item.added),),
    ).fetchall():
        wanted = [name for name in item.topics if topic in {None, name}]
        if max((item.scores[name] for name in wanted), default=-1) >= min_score:
            connection.execute(
                "INSERT OR IGNORE INTO geotopics_deliveries "
                "(subscription, item, body, created, due) VALUES (?, ?, ?, ?, ?)",
                (number, item.id, _body(item, now), microseconds(now), microseconds(now)),
            )


class Deliverer:
    """Sends what is in the outbox.

    Parameters
    ----------
    database : Database
    allow_private : bool
        Whether receivers may be at private addresses.
    """

    def __init__(self, database: Database, *, allow_private: bool) -> None:
        self._database = database
        self._allow_private = allow_private
        self._resting: dict[int, datetime] = {}  # subscriptions whose receiver has just failed
        self._busy: set[int] = set()
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook")

    def start_due(self) -> None:
        """Start sending what is due, one item at a time to each subscriber; does not wait.

        Raises
        ------
        FeedsError
            The database cannot be read.
        """
        now = datetime.now(UTC)
        with self._database.reading() as connection:
            due = connection.execute(_DUE, (microseconds(now),)).fetchall() if connection else []
        for (number,) in due:
            if number not in self._busy and self._resting.get(number, now) <= now:
                self._busy.add(number)
                self._pool.submit(self._send_all, number)

    def close(self) -> None:
        """Wait for the items that are being sent; the rest waits for the next process."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)

    def _send_all(self, number: int) -> None:
        try:
            with requests.Session() as session:
                fetch.secure(session, allow_private=self._allow_private)
                for delivery in self._claimed(number):
                    problem = _send(session, delivery)
                    self._note(delivery, problem)
                    if problem is not None:
                        self._resting[number] = datetime.now(UTC) + PAUSES[0]
                        return
        except FeedsError as error:
            _logger.error("%s", error)
        finally:
            self._busy.discard(number)

    def _claimed(self, number: int) -> Iterator["_Delivery"]:
        while not self._closing.is_set():
            now = datetime.now(UTC)
            with self._database.writing() as connection:
                row = connection.execute(_NEXT, (number, microseconds(now))).fetchone()
                if row is None:
                    return
                delivery = _Delivery(number, *row)
                # Due again before it is sent: if this process is killed, another sends it.
                _put_off(connection, delivery, now + _LEASE)
            yield delivery

    def _note(self, delivery: "_Delivery", problem: "_Problem | None") -> None:
        now = datetime.now(UTC)
        column = None
        with self._database.writing() as connection:
            retry = now + PAUSES[min(delivery.tries, len(PAUSES) - 1)]
            if problem is None:
                column = "delivered"
            elif problem.gone or microseconds(retry - NEWS) > delivery.created:
                column = "given_up"
            else:
                _put_off(connection, delivery, retry, tries=delivery.tries + 1)
            if column is not None:
                connection.execute(
                    "UPDATE geotopics_deliveries SET due = NULL, body = '' "
                    "WHERE subscription = ? AND item = ?",
                    (delivery.subscription, delivery.item),
                )
                connection.execute(
                    f"UPDATE geotopics_subscriptions SET {column} = {column} + 1 "  # noqa: S608
                    "WHERE number = ?",
                    (delivery.subscription,),
                )
            connection.execute(
                "UPDATE geotopics_subscriptions SET problem = ?, stopped = ? WHERE number = ?",
                (problem and problem.line, bool(problem and problem.gone), delivery.subscription),
            )
            if problem and problem.gone:
                connection.execute(
                    "DELETE FROM geotopics_deliveries WHERE subscription = ?",
                    (delivery.subscription,),
                )
            connection.execute(
                "DELETE FROM geotopics_deliveries WHERE due IS NULL AND created < ?",
                (microseconds(now - _KEPT),),
            )


class _Delivery(NamedTuple):
    subscription: int
    item: str
    body: str
    created: int
    tries: int
    url: str
    secret: str


class _Problem(NamedTuple):
    line: str
    gone: bool = False


_LIST = """
SELECT number, url, topic, min_score, delivered,
    (SELECT count(*) FROM geotopics_deliveries WHERE subscription = number AND due IS NOT NULL),
    given_up, problem, stopped
FROM geotopics_subscriptions ORDER BY number
"""
_DUE = "SELECT DISTINCT subscription FROM geotopics_deliveries WHERE due <= ?"
_NEXT = """
SELECT item, body, created, tries, url, secret
FROM geotopics_deliveries JOIN geotopics_subscriptions ON number = subscription
WHERE subscription = ? AND due <= ? ORDER BY due LIMIT 1
"""


def _put_off(
    connection: sqlite3.Connection, delivery: _Delivery, due: datetime, tries: int | None = None
) -> None:
    connection.execute(
        "UPDATE geotopics_deliveries SET due = ?, tries = ? WHERE subscription = ? AND item = ?",
        (
            microseconds(due),
            delivery.tries if tries is None else tries,
            delivery.subscription,
            delivery.item,
        ),
    )


def _body(item: Item, now: datetime) -> str:
    event: dict[str, Any] = {
        "type": EVENT,
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "data": described(item),
    }
    return json.dumps(event, ensure_ascii=False)


def _send(session: requests.Session, delivery: _Delivery) -> _Problem | None:
    now = datetime.now(UTC)
    name = f"msg_{delivery.subscription}_{delivery.item.removeprefix('urn:uuid:')}"
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(delivery.secret).sign(name, now, delivery.body),
    }
    try:
        with session.post(
            delivery.url, delivery.body.encode(), headers=headers, allow_redirects=False
        ) as answer:
            status = answer.status_code
    except Exception as error:
        # Whatever a receiver does must not end the sending to others.
        return _Problem(describe(error))
    if status // 100 == 2:
        return None
    return _Problem(f"the receiver answers {status}", gone=status == _GONE)
