"""Publishes what has been tagged, beside the polls: brings the items up to date and sends them."""

import logging
import threading

from reader import Reader, ReaderError

from service.config import Settings
from service.feeds.database import Database, FeedsError
from service.feeds.index import refresh
from service.feeds.webhooks import Deliverer, enqueue

SECONDS = 2  # between two looks at what has changed

_logger = logging.getLogger(__name__)


def publish(settings: Settings, reader: Reader) -> None:
    """Bring the published items up to date, and put new ones into the outbox of webhooks.

    Raises
    ------
    FeedsError
        The database cannot be read or written; the next call goes on from there.
    """
    try:
        refresh(Database(settings.instance), reader, enqueue)
    except ReaderError as error:
        raise FeedsError(f"the feeds in {settings.instance} cannot be read ({error})") from error


def publish_until(settings: Settings, reader: Reader, stop: threading.Event) -> None:
    """Publish and send until stopped; for a thread of its own."""
    deliverer = Deliverer(Database(settings.instance), allow_private=settings.allow_private)
    with reader:
        while not stop.wait(SECONDS):
            try:
                publish(settings, reader)
                deliverer.start_due()
            except FeedsError as error:
                _logger.error("%s", error)  # trouble that may be over in a moment
    deliverer.close()
