"""Measures a poll of many feeds from a server in this process.

Run with ``python -m tests.bench.feeds [FEEDS]``; 2,000 feeds of 30 items unless told otherwise.
Items are paragraphs of the shipped corpus. The feeds are spread over host names that all lead to
127.0.0.1, ten to a host, as one host is asked one thing at a time.
"""

import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from unittest import mock
from xml.sax.saxutils import escape

from service.classifier import Classifier
from service.config import load
from service.feeds import plugin
from service.feeds.polling import Poller
from tests.service.feeds.server import FeedServer, of_bytes, serving
from training import corpus

FEEDS = 2_000
ITEMS = 30
PARAGRAPHS = 3  # an item, beside its title
FEEDS_PER_HOST = 10


def measure(feeds: int = FEEDS) -> dict[str, float]:
    """Poll `feeds` feeds twice, the second time with nothing changed.

    Parameters
    ----------
    feeds : int

    Returns
    -------
    dict of str to float
        By what is measured, with its unit.
    """
    scoring, around = _Clock(), _Clock()
    with (
        serving() as server,
        _all_names_lead_here(),
        tempfile.TemporaryDirectory() as instance,
        mock.patch.object(Classifier, "classify", scoring.timed(Classifier.classify)),
        mock.patch.object(plugin, "feed_paragraphs", around.timed(plugin.feed_paragraphs)),
        mock.patch.object(plugin, "_value", around.timed(plugin._value)),
    ):
        _fill(server, feeds)
        settings = load(instance=Path(instance), allow_private=True)
        with Poller(settings) as poller:
            for number in range(feeds):
                host = f"host{number // FEEDS_PER_HOST}.test:{server.server_port}"
                poller.reader.add_feed(f"http://{host}/{number}")
            poller.poll_feed(f"http://host0.test:{server.server_port}/0")  # loads the model
            first = _seconds(lambda: poller.poll(scheduled=False))
            shares = [100 * clock.seconds / first for clock in (scoring, around)]
            second = _seconds(lambda: poller.poll(scheduled=False))
            entries = poller.reader.get_entry_counts().total or 0
            tagged = poller.reader.get_entry_counts(tags=[plugin.TAG]).total or 0
    assert entries == tagged == feeds * ITEMS
    return {
        f"first round of {feeds} feeds, s": first,
        "second round, nothing changed, s": second,
        "classifying, % of the first round": shares[0],
        "HTML to text and back to tags, %": shares[1],
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class _Clock:
    """Adds up what a function costs this thread, without what it waits for other threads."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.thread_time() - began

        return call


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _fill(server: FeedServer, feeds: int) -> None:
    texts = cycle(paragraph.text for paragraph in corpus.read([corpus.SHIPPED]).paragraphs)
    for number in range(feeds):
        body = "".join(
            f"<item><guid>{number}-{item}</guid><link>https://news.example/{number}/{item}</link>"
            f"<pubDate>Mon, 02 Mar 2026 08:{item:02}:00 GMT</pubDate>"
            f"<title>{escape(next(texts)[:70])}</title><description>"
            + escape("".join(f"<p>{escape(text)}</p>" for text in islice(texts, PARAGRAPHS)))
            + "</description></item>"
            for item in range(ITEMS)
        )
        feed = f"<rss version='2.0'><channel><title>Feed {number}</title>{body}</channel></rss>"
        server.answers[f"/{number}"] = of_bytes(feed.encode())


@contextmanager
def _all_names_lead_here() -> Iterator[None]:
    resolve = socket.getaddrinfo

    def here(_: object, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1", *arguments, **options)

    with mock.patch.object(socket, "getaddrinfo", here):
        yield


def main() -> None:
    """Print a line a measure."""
    for name, value in measure(*map(int, sys.argv[1:])).items():
        print(f"{name:40}{value:10.1f}")


if __name__ == "__main__":
    main()
