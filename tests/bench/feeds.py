"""Polling many feeds from a server in the same process.

Items are paragraphs of the shipped corpus. The feeds are spread over host names that all lead to
127.0.0.1, ten to a host, as one host is asked one thing at a time.
"""

import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import wraps
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock
from xml.sax.saxutils import escape

from service.classifier import Classifier
from service.config import load
from service.feeds import TAG, plugin
from service.feeds.polling import Poller
from service.store import ModelStore
from tests.bench.memory import peak_mib
from tests.bench.rounds import Line
from tests.service.feeds.server import FeedServer, of_bytes, serving
from training.corpus import Paragraph

FEEDS = 2_000
ITEMS = 30
PARAGRAPHS = 3  # an item, beside its title
FEEDS_PER_HOST = 10


def polling(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Poll 2,000 feeds of 30 items, and again with nothing changed."""
    # In a process of its own, as the highest memory of this one may have been somebody else's.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(measure, [item.text for item in paragraphs], store.root).result()
    items = f"{FEEDS:,} feeds of {ITEMS} items"
    yield Line("polling feeds", found["first"], "s", 300, None, items, below=True)
    yield Line("polling them unchanged", found["second"], "s", 60, None, items, below=True)
    yield Line("tagging while polling", found["tagging"], "%", 5, None, "of the round", below=True)
    detail = "HTML to paragraphs, and their tags to the item's"
    yield Line("text and rule while polling", found["around"], "%", None, None, detail)
    yield Line(
        "memory while polling", found["memory"], "MiB", 400, None, "server included", below=True
    )


def measure(texts: Sequence[str], models: Path, feeds: int = FEEDS) -> dict[str, float]:
    """Poll feeds twice, the second time with nothing changed.

    Parameters
    ----------
    texts : sequence of str
        Paragraphs to fill the items with, over and over.
    models : Path
        The folder of models.
    feeds : int
        How many.

    Returns
    -------
    dict of str to float
        `first` and `second` round in seconds; `tagging` and what is `around` it in percent of the
        first; `memory` in MiB, the most that this process has used.
    """
    tagging, around = _Clock(), _Clock()
    with (
        serving() as server,
        _all_names_lead_here(),
        tempfile.TemporaryDirectory() as instance,
        mock.patch.object(Classifier, "classify", tagging.timed(Classifier.classify)),
        mock.patch.object(plugin, "feed_paragraphs", around.timed(plugin.feed_paragraphs)),
        mock.patch.object(plugin, "_value", around.timed(plugin._value)),
    ):
        _fill(server, texts, feeds)
        settings = load(models=models, instance=Path(instance), allow_private=True)
        with Poller(settings) as poller:
            for number in range(feeds):
                host = f"host{number // FEEDS_PER_HOST}.test:{server.server_port}"
                poller.reader.add_feed(f"http://{host}/{number}")
            poller.poll_feed(f"http://host0.test:{server.server_port}/0")  # loads the model
            began = time.perf_counter()
            poller.poll(scheduled=False)
            first = time.perf_counter() - began
            shares = [100 * clock.seconds / first for clock in (tagging, around)]
            began = time.perf_counter()
            poller.poll(scheduled=False)
            second = time.perf_counter() - began
            tagged = poller.reader.get_entry_counts(tags=[TAG]).total or 0
    if tagged != feeds * ITEMS:
        raise RuntimeError(f"{tagged} of {feeds * ITEMS} items were tagged")
    return {
        "first": first,
        "second": second,
        "tagging": shares[0],
        "around": shares[1],
        "memory": peak_mib(),
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


def _fill(server: FeedServer, paragraphs: Sequence[str], feeds: int) -> None:
    texts = cycle(paragraphs)
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
