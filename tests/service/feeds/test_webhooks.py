import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest
from pathlib import Path
from typing import Any

import pytest
from reader import Reader
from standardwebhooks import Webhook

from service.config import Settings
from service.feeds import webhooks
from service.feeds.database import Database, FeedsError
from service.feeds.items import microseconds
from service.feeds.library import open_reader
from service.feeds.publishing import publish
from service.feeds.webhooks import Deliverer, Subscription
from tests.service.feeds import samples
from tests.service.feeds import server as answers
from tests.service.feeds.server import FeedServer, Handler

PATIENCE = 30  # seconds until a test that hangs is given up


class Receiver:
    """Keeps what is posted to it."""

    def __init__(self, server: FeedServer, *statuses: int) -> None:
        self.url = server.url("/hook")
        self.received: list[tuple[dict[str, str], bytes]] = []
        self._statuses = list(statuses)
        server.answers["/hook"] = self._answer

    @property
    def titles(self) -> list[str]:
        return [json.loads(body)["data"]["title"] for _, body in self.received]

    def _answer(self, handler: Handler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.received.append((dict(handler.headers), body))
        handler.reply(self._statuses.pop(0) if self._statuses else 204)


@pytest.fixture
def reader(settings: Settings) -> Any:
    with open_reader(settings) as opened:
        yield opened


@pytest.fixture
def database(settings: Settings, reader: Reader) -> Database:
    return Database(settings.instance)


def subscribe(database: Database, url: str, topic: str | None = None, least: float = 0.0) -> str:
    return webhooks.subscribe(database, url, topic, least)[1]


def deliver(database: Database, *, allow_private: bool = True) -> list[Subscription]:
    """Send what is due, as a process does that has just started."""
    deliverer = Deliverer(database, allow_private=allow_private)
    deliverer.start_due()
    wait_for(lambda: not due(database))
    deliverer.close()
    return webhooks.subscriptions(database)


def due(database: Database) -> int:
    with database.reading() as connection:
        assert connection is not None
        count = "SELECT count(*) FROM geotopics_deliveries WHERE due <= ?"
        found: int = connection.execute(count, (microseconds(datetime.now(UTC)),)).fetchone()[0]
        return found


def end_pauses(database: Database) -> None:
    with database.writing() as connection:
        connection.execute("UPDATE geotopics_deliveries SET due = 0 WHERE due IS NOT NULL")


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_subscriber_gets_the_items_it_asked_for_once(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server)
    samples.add(reader, "before", ["defense"])
    subscribe(database, receiver.url, "defense", 0.8)
    samples.add(reader, "wanted", ["trade", "defense"])
    samples.add(reader, "other topic", ["trade"])
    samples.add(reader, "low score", ["defense"], score=0.7)
    samples.add(reader, "old", ["defense"], published=datetime.now(UTC) - timedelta(days=2))
    publish(settings, reader)
    deliver(database)
    samples.retag(reader, "wanted", ["defense"], score=0.95)
    publish(settings, reader)
    [found] = deliver(database)
    assert receiver.titles == ["Title of wanted"]
    assert (found.delivered, found.waiting, found.problem) == (1, 0, None)


def test_a_receiver_can_check_signatures_by_library_and_by_hand(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server)
    secret = subscribe(database, receiver.url)
    samples.add(reader, "one", ["diplomacy"], title="Pakt – 協定 😀")
    publish(settings, reader)
    deliver(database)
    [(headers, body)] = receiver.received
    event = Webhook(secret).verify(body, headers)
    assert event["type"] == "entry.tagged"
    assert event["data"]["title"] == "Pakt – 協定 😀"
    assert event["data"]["topics"] == ["diplomacy"]
    key = b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    [own] = headers["webhook-signature"].split()
    assert compare_digest(digest(key, signed, sha256), b64decode(own.removeprefix("v1,")))
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(secret).verify(body + b" ", headers)


def test_what_fails_is_sent_again_until_it_is_received(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server, 500, 302, 204)
    subscribe(database, receiver.url)
    samples.add(reader, "one", ["trade"])
    publish(settings, reader)
    for problem in ("the receiver answers 500", "the receiver answers 302"):
        [found] = deliver(database)
        assert (found.delivered, found.waiting, found.problem) == (0, 1, problem)
        [same] = deliver(database)
        assert same == found
        end_pauses(database)
    [found] = deliver(database)
    assert (found.delivered, found.waiting, found.problem) == (1, 0, None)
    names = {headers["webhook-id"] for headers, _ in receiver.received}
    assert len(receiver.received) == 3
    assert len(names) == 1


def test_pauses_grow_until_a_day_is_over(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server, *[500] * 100)
    subscribe(database, receiver.url)
    samples.add(reader, "one", ["trade"])
    publish(settings, reader)
    pauses = []
    began = datetime.now(UTC)
    while webhooks.subscriptions(database)[0].waiting:
        [found] = deliver(database)
        with database.writing() as connection:
            row = connection.execute("SELECT due FROM geotopics_deliveries").fetchone()
            if row[0] is None:
                break
            pauses.append((row[0] - microseconds(datetime.now(UTC))) // 1_000_000)
            # As if the pause were over.
            connection.execute(
                "UPDATE geotopics_deliveries SET created = created - due + ?, due = ?",
                (microseconds(datetime.now(UTC)), microseconds(datetime.now(UTC))),
            )
    assert datetime.now(UTC) - began < timedelta(seconds=PATIENCE)
    assert pauses == sorted(pauses)
    assert 20 <= pauses[0] <= 30
    assert 12 * 3_600 < sum(pauses) < 24 * 3_600
    assert (found.given_up, found.delivered) == (1, 0)


def test_a_receiver_that_is_gone_is_sent_nothing_more(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server, 410)
    subscribe(database, receiver.url)
    for name in ("one", "two"):
        samples.add(reader, name, ["trade"])
        publish(settings, reader)
        [found] = deliver(database)
    assert len(receiver.received) == 1
    assert found.stopped
    assert found.waiting == 0
    assert found.problem == "the receiver answers 410"


def test_a_receiver_that_hangs_holds_up_nobody_else(
    server: FeedServer,
    settings: Settings,
    reader: Reader,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.feeds.fetch.TOTAL_SECONDS", 0.5)
    server.answers["/hang"] = answers.hang
    server.answers["/drip"] = answers.drip_header
    with answers.serving() as elsewhere:  # as one host is asked one thing at a time
        receiver = Receiver(elsewhere)
        for url in (server.url("/hang"), server.url("/drip"), receiver.url):
            subscribe(database, url)
        samples.add(reader, "one", ["trade"])
        publish(settings, reader)
        hanging, dripping, well = deliver(database)
    assert well.delivered == 1
    for found in (hanging, dripping):
        assert (found.delivered, found.waiting) == (0, 1)
        assert "more than 0.5 seconds" in (found.problem or "")


def test_nothing_is_sent_to_a_private_address(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server)
    subscribe(database, receiver.url)
    samples.add(reader, "one", ["trade"])
    publish(settings, reader)
    [found] = deliver(database, allow_private=False)
    assert not receiver.received
    assert "private address 127.0.0.1" in (found.problem or "")


@pytest.mark.parametrize("url", ["ftp://desk.example/", "desk.example", "http://", "file:///etc"])
def test_only_web_addresses_can_subscribe(database: Database, url: str) -> None:
    with pytest.raises(FeedsError, match="no web address"):
        subscribe(database, url)


def test_a_subscription_that_is_removed_gets_nothing(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server)
    number, _ = webhooks.subscribe(database, receiver.url, None, 0)
    samples.add(reader, "one", ["trade"])
    publish(settings, reader)
    webhooks.unsubscribe(database, number)
    assert deliver(database) == []
    assert not receiver.received
    with pytest.raises(FeedsError, match="no subscription"):
        webhooks.unsubscribe(database, number)


def test_a_process_killed_while_sending_sends_once_more(
    server: FeedServer, settings: Settings, reader: Reader, database: Database
) -> None:
    receiver = Receiver(server)
    server.answers["/feed"] = answers.of_bytes(
        b"<rss version='2.0'><channel><title>World</title><item><guid>1</guid><title>Tariffs on "
        b"steel imports were raised to 25 percent.</title></item></channel></rss>"
    )
    started: list[bytes] = []

    def hang_once(handler: Handler) -> None:
        started.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        server.answers["/hook"] = receiver._answer
        handler.server.ended.wait(PATIENCE)

    server.answers["/hook"] = hang_once
    subscribe(database, receiver.url)
    reader.add_feed(server.url("/feed"))
    with watching(settings) as process:
        wait_for(lambda: started)
        process.send_signal(signal.SIGKILL)
    end_pauses(database)
    with watching(settings) as process:
        wait_for(lambda: webhooks.subscriptions(database)[0].delivered)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert len(receiver.received) == 1
    assert receiver.received[0][1] == started[0]


def watching(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [Path(sys.executable).parent / "geotopics", "feeds", "watch"],
        env=os.environ
        | {
            "GEOTOPICS_INSTANCE": str(settings.instance),
            "GEOTOPICS_MODELS": str(settings.models),
            "GEOTOPICS_ALLOW_PRIVATE": "1",
        },
    )
