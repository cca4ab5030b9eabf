"""Polls feeds, once or until stopped, and remembers what is wrong with them.

`reader` schedules (a feed is due again after ``GEOTOPICS_POLL_MINUTES``, or later where the host
says so by Retry-After, Cache-Control or Expires), retrieves in several threads, parses and stores.
What is added here is what follows from an outcome:

* a feed that fails is left alone for `poll_minutes`, then twice as long, and so on up to
  `LONGEST_PAUSE`;
* one that has moved for good (301, 308) gets its new address and keeps its entries and tags;
* one that is gone for good (410) is not polled again;
* one whose content breaks reader does not keep the others from being polled.

Kept as feed tags: `PROBLEM`, ``{"line": "…", "failures": 3, "until": "…"}``, until the feed works
again, and `PAUSED` for as long as it is left alone.
"""

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import requests
from filelock import FileLock, Timeout
from reader import (
    Feed,
    FeedExistsError,
    FeedNotFoundError,
    Reader,
    ReaderError,
    ReaderWarning,
    StorageError,
    UpdatedFeed,
    UpdateError,
    UpdateHookError,
)

from service.config import LOG_FORMAT, Settings
from service.current import CurrentModel
from service.errors import GeotopicsError
from service.feeds.database import FeedsError
from service.feeds.library import open_reader
from service.feeds.plugin import Articles, Tagger, from_feed
from service.feeds.problems import describe, is_gone
from service.feeds.publishing import publish_until

PROBLEM = "geotopics.problem"
PAUSED = "geotopics.paused"

WORKERS = 16  # feeds retrieved at once, each from another host
TICK_SECONDS = 10  # between two looks at which feeds are due
LONGEST_PAUSE = timedelta(days=1)

NO_FEED = "there is no feed {url}; `geotopics feeds list` has all"

_SCHEDULE = ".reader.update"  # reader's own tag for how often feeds are polled
_JITTER = 0.25  # of the interval; else every feed would be due on the hour
_LOCK = "feeds.lock"
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

_logger = logging.getLogger(__name__)


class Summary(NamedTuple):
    """What a round of polling has brought.

    Attributes
    ----------
    feeds : int
        Polled, working or not.
    new, changed : int
        Entries.
    failed : int
        Feeds that did not work.
    """

    feeds: int = 0
    new: int = 0
    changed: int = 0
    failed: int = 0


class Poller:
    """Polls the feeds of an installation; one at a time may.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    FeedsError
        Another process is polling, or the database cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._moved: dict[str, str] = {}
        self._classifier = CurrentModel(settings.models).get
        articles: Articles = from_feed
        if settings.full_text:
            from service.feeds.pages import Pages  # noqa: PLC0415 - takes a second

            articles = Pages(allow_private=settings.allow_private).articles
        self._tagger = Tagger(self._classifier, articles)
        self.reader = open_reader(settings, self._tagger)
        self._lock = FileLock(settings.instance / _LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.reader.close()
            raise FeedsError(
                "another process is polling these feeds (`geotopics feeds watch` or "
                "`geotopics serve --watch`); what is due is polled there"
            ) from None
        self.reader._parser.lazy_init(self._note_moves)

    def __enter__(self) -> Self:  # noqa: D105
        self.reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:  # noqa: D105
        self.reader.__exit__()
        self._lock.release()

    def poll(self, *, scheduled: bool) -> Summary:
        """Poll feeds and tag what is new.

        Parameters
        ----------
        scheduled : bool
            Whether only those that are due; else all that are not paused.

        Raises
        ------
        ModelError
            There is no model to tag with; nothing was polled.
        FeedsError
            Something could not be stored; what was stored before is whole, and the next round does
            the rest.
        """
        self._classifier()
        with self._storage_errors():
            self._prepare()
            began = datetime.now(UTC)
            summary = Summary()
            unpaused = [f"-{PAUSED}"]
            broken = False
            try:
                for url, value in self.reader.update_feeds_iter(
                    tags=unpaused, scheduled=scheduled, workers=WORKERS
                ):
                    summary = self._settle(summary, url, value)
            except (ReaderError, GeotopicsError):
                raise
            except Exception:
                # reader gives up on all feeds where the content of one makes it fail. (It takes an
                # exception that is being handled for its own, so the rest is done further down.)
                _logger.warning("a feed has broken the update; polling the rest one by one")
                broken = True
            if broken:
                for feed in list(self.reader.get_feeds(tags=unpaused, updates_enabled=True)):
                    if _is_left(feed, began, scheduled=scheduled):
                        summary = self._settle(summary, feed.url, self._update_alone(feed.url))
            self._move()
        return summary

    def poll_feed(self, url: str) -> Summary:
        """Poll one feed, due, paused or not.

        Raises
        ------
        FeedsError, ModelError
            As for `poll`; also where there is no such feed.
        """
        self._classifier()
        with self._storage_errors():
            summary = self._settle(Summary(), url, self._update_alone(url))
            self._move()
        return summary

    def fill_in(self, stop: threading.Event | None = None) -> None:
        """Tag what is untagged or tagged by another model.

        Raises
        ------
        FeedsError, ModelError
            As for `poll`.
        """
        with self._storage_errors():
            self._tagger.fill_in(self.reader, stop)

    def _prepare(self) -> None:
        schedule: Any = {"interval": self._settings.poll_minutes, "jitter": _JITTER}
        if self.reader.get_tag((), _SCHEDULE, None) != schedule:
            self.reader.set_tag((), _SCHEDULE, schedule)
        now = datetime.now(UTC)
        for feed in list(self.reader.get_feeds(tags=[PAUSED])):
            problem = _problem(self.reader, feed.url)
            if problem is None or datetime.fromisoformat(problem["until"]) <= now:
                self.reader.delete_tag(feed, PAUSED)

    def _update_alone(self, url: str) -> UpdatedFeed | Exception | None:
        try:
            return self.reader.update_feed(url)
        except UpdateError as error:
            return error
        except FeedNotFoundError:
            raise FeedsError(NO_FEED.format(url=url)) from None
        except (ReaderError, GeotopicsError):
            raise
        except Exception as error:
            return error

    def _settle(self, summary: Summary, url: str, value: UpdatedFeed | Exception | None) -> Summary:
        summary = summary._replace(feeds=summary.feeds + 1)
        if isinstance(value, UpdateHookError):
            # All is stored, and `fill_in` tags it.
            _logger.warning("%s: its entries could not be tagged yet: %s", url, value)
            return summary
        if isinstance(value, Exception):
            self._note_problem(url, value)
            return summary._replace(failed=summary.failed + 1)
        self.reader.delete_tag(url, PROBLEM, missing_ok=True)
        self.reader.delete_tag(url, PAUSED, missing_ok=True)
        if value is None:
            return summary
        return summary._replace(
            new=summary.new + value.new, changed=summary.changed + value.modified
        )

    def _note_problem(self, url: str, error: Exception) -> None:
        self._moved.pop(url, None)
        line = describe(error)
        failures = (_problem(self.reader, url) or {"failures": 0})["failures"] + 1
        pause = timedelta(minutes=self._settings.poll_minutes)
        if failures > 1:
            pause = min(pause * 2 ** min(failures - 1, 20), max(pause, LONGEST_PAUSE))
        until = datetime.now(UTC) + pause
        feed = self.reader.get_feed(url)
        if feed.update_after is not None:
            until = max(until, feed.update_after)
        self._set_problem(url, line, failures, until)
        if is_gone(error):
            self.reader.disable_feed_updates(url)
        _logger.warning("%s: %s", url, line)

    def _set_problem(self, url: str, line: str, failures: int, until: datetime) -> None:
        value: Any = {"line": line, "failures": failures, "until": until.isoformat()}
        self.reader.set_tag(url, PROBLEM, value)
        self.reader.set_tag(url, PAUSED)

    def _note_moves(self, parser: Any) -> None:
        def note(_: requests.Session, response: requests.Response, request: Any, **__: Any) -> None:
            target = request.url
            for hop, after in pairwise([*response.history, response]):
                if not hop.is_permanent_redirect:
                    break
                target = after.url
            if target != request.url:
                self._moved[request.url] = target

        parser.get_retriever("https://").response_hooks.append(note)

    def _move(self) -> None:
        while self._moved:
            old, new = self._moved.popitem()
            try:
                self.reader.change_feed_url(old, new)
                _logger.info("%s has moved to %s", old, new)
            except FeedExistsError:
                self._set_problem(old, f"has moved to {new}, a feed of its own here", 1, _NEVER)
                self.reader.disable_feed_updates(old)
            except FeedNotFoundError:
                continue

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            raise FeedsError(
                f"the feeds in {self._settings.instance} cannot be stored "
                f"({error.__cause__ or error}); nothing is half-written, and the next round goes "
                "on from here"
            ) from error


def watch(settings: Settings, stop: threading.Event) -> None:
    """Poll what is due until stopped; threads beside fill in tags and publish.

    Parameters
    ----------
    settings : Settings
    stop : threading.Event
        Ends it when set, at the end of the round.

    Raises
    ------
    FeedsError
        Another process is polling, or the database cannot be opened.
    """
    with Poller(settings) as poller:
        publishing = threading.Thread(
            target=publish_until, args=(settings, poller.reader, stop), daemon=True
        )
        publishing.start()
        filling = threading.Thread()
        while not stop.is_set():
            try:
                summary = poller.poll(scheduled=True)
            except GeotopicsError as error:
                _logger.error("%s", error)  # trouble that may be over in a moment
            else:
                if summary.feeds:
                    _logger.info("polled %d feeds: %s", summary.feeds, said(summary))
                if not filling.is_alive():
                    filling = threading.Thread(target=_fill_in, args=(poller, stop))
                    filling.start()
            stop.wait(TICK_SECONDS)
        if filling.ident is not None:
            filling.join()
        publishing.join()


def run(settings: Settings) -> None:
    """Watch in a process of its own, until SIGINT or SIGTERM or until its parent process ends.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    FeedsError
        As for `watch`.
    """
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    # reader tells of each item that is left out, and of each feed that fails with a traceback.
    warnings.simplefilter("ignore", ReaderWarning)
    if settings.log_level != "debug":
        logging.getLogger("reader").setLevel(logging.CRITICAL)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_stop_after, args=(os.getppid(), stop), daemon=True).start()
    watch(settings, stop)


class Row(NamedTuple):
    """What is known of a feed.

    Attributes
    ----------
    url : str
    title : str or None
    items : int
    polled, next : datetime or None
        When it was polled last, and is polled again; None for never.
    problem : str or None
        What is wrong with it.
    """

    url: str
    title: str | None
    items: int
    polled: datetime | None
    next: datetime | None
    problem: str | None


def overview(reader: Reader) -> Iterator[Row]:
    """Yield a row for each feed, in the order of their titles."""
    now = datetime.now(UTC)
    for feed in reader.get_feeds():
        problem = _problem(reader, feed.url)
        due = feed.update_after or now
        if problem is not None:
            due = max(due, datetime.fromisoformat(problem["until"]))
        yield Row(
            url=feed.url,
            title=feed.title,
            items=reader.get_entry_counts(feed=feed).total or 0,
            polled=feed.last_retrieved,
            next=due if feed.updates_enabled else None,
            problem=None if problem is None else problem["line"],
        )


def resume(reader: Reader, url: str) -> None:
    """Let a feed be polled again that was stopped or left alone."""
    reader.enable_feed_updates(url)
    for tag in (PROBLEM, PAUSED):
        reader.delete_tag(url, tag, missing_ok=True)


def said(summary: Summary) -> str:
    """Put a summary into words."""
    return f"{summary.new} new items, {summary.changed} changed, {summary.failed} feeds failed"


def _problem(reader: Reader, url: str) -> dict[str, Any] | None:
    return cast(dict[str, Any] | None, reader.get_tag(url, PROBLEM, None))


def _fill_in(poller: Poller, stop: threading.Event) -> None:
    try:
        with poller.reader:
            poller.fill_in(stop)
    except GeotopicsError as error:
        _logger.error("%s", error)


def _stop_after(parent: int, stop: threading.Event) -> None:
    # A parent that was killed cannot say so, and its other children keep its pipes open.
    while os.getppid() == parent:
        stop.wait(1)
    stop.set()


def _is_left(feed: Feed, began: datetime, *, scheduled: bool) -> bool:
    if feed.last_retrieved is not None and feed.last_retrieved >= began:
        return False
    return not scheduled or feed.update_after is None or feed.update_after <= began
