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
from http.server import BaseHTTPRequestHandler
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
    deliverer.close(wait_for_all=True)
    return webhooks.subscriptions(database)


def make_due(database: Database) -> None:
    """Let the pauses be over."""
    with database.writing() as connection:
        connection.execute("UPDATE geotopics_deliveries SET due = 0 WHERE due IS NOT NULL")
