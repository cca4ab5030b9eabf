"""A plugin for `reader` that tags every entry with the topics of its paragraphs.

It works in any application of the reader library (``make_reader(path, plugins=[…])`` takes
`init_reader`, or ``"service.feeds.plugin"``), and tags with the current model of the default folder
of models. Another classifier, or whole articles instead of what the feed holds, are had with
``Tagger(…).init_reader``.

Every entry gets the entry tag ``geotopics`` (`TAG`)::

    {
        "model": "d679f0a9a96c",            # version of the model that made the tag
        "topics": ["trade", "diplomacy"],   # of the whole entry, best first
        "primary": "trade",                 # or null
        "scores": {"trade": 0.91, …},       # of all topics, in [0, 1], six decimals
        "paragraphs": [{"topics": …, "primary": …, "scores": …}, …],   # title first
        "source": "feed",                   # or "full-text": where the paragraphs are from
        "last_updated": "2026-03-01T…"      # the entry's own last_updated when it was tagged
    }

The text is the title and what `reader.Entry.get_content` gives. The entry carries a topic where the
paragraphs that carry it hold a quarter of the words (`Classifier.combine`).

Entries are tagged

* when their feed is updated: the new and the changed ones, as soon as all are stored;
* by `Tagger.fill_in`: every entry without a tag, with a tag of another model or with the tag of an
  earlier content, newest first. It is for entries that were there before the plugin, for a new
  model, and for what a crash left out; it can run in a thread beside updates.

Both go through `Tagger.tag`. As a tag follows from the model and what is stored alone, an entry
that is tagged twice is tagged alike.

The global tag ``geotopics`` says how far this is, see `Progress`. Its key ``since`` is when the
update began that is in progress, or that was killed: then `fill_in` looks at everything.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from reader import Entry, EntryNotFoundError, Reader
from reader.types import EntryUpdateStatus

from service.classifier import Classifier, Result
from service.current import CurrentModel
from service.feeds import TAG
from service.feeds.text import paragraphs
from service.store import DEFAULT_FOLDER

BATCH = 200  # entries that are classified together when entries are filled in

EntryId = tuple[str, str]  # feed URL, entry id


class Article(NamedTuple):
    """What of an entry is tagged.

    Attributes
    ----------
    paragraphs : list of str
        Plain text, the title first.
    source : str
        ``"feed"`` or ``"full-text"``.
    """

    paragraphs: list[str]
    source: str


Articles = Callable[[Reader, Sequence[Entry]], list[Article]]


class Progress(NamedTuple):
    """How far the filling in has come.

    Attributes
    ----------
    model : str or None
        Version of the model that entries are being tagged with; None before the first time.
    done, total : int
        Entries looked at, and entries there were when it began; equal when all is filled in.
    """

    model: str | None
    done: int
    total: int


def progress(reader: Reader) -> Progress:
    """Read how far the filling in has come, from any process."""
    state = _state(reader)
    return Progress(state.get("model"), state.get("done", 0), state.get("total", 0))


def from_feed(reader: Reader, entries: Sequence[Entry]) -> list[Article]:
    """Take what the feed says of each entry."""
    return [Article(feed_paragraphs(entry), "feed") for entry in entries]


def feed_paragraphs(entry: Entry) -> list[str]:
    """Split what the feed says of an entry into paragraphs, the title first."""
    content = entry.get_content()
    if content is None:
        return paragraphs(entry.title, "", html=False)
    return paragraphs(entry.title, content.value, html=content.type != "text/plain")


class Tagger:
    """Tags the entries of a reader.

    Parameters
    ----------
    classifier : callable
        Gives the classifier to tag with; asked before every batch.
    articles : callable, default=from_feed
        Gives the text of entries. Where it is another function it may be slow: new entries are then
        left to `fill_in`.
    """

    def __init__(
        self,
        classifier: Callable[[], Classifier],
        articles: Articles = from_feed,
    ) -> None:
        self._classifier = classifier
        self._articles = articles
        self._changed: set[EntryId] = set()
        self._marks = threading.Lock()
        self._update: str | None = None  # when the update in progress began
        self._owed: str | None = None  # since when entries may have been left out
        self._known = False  # whether what an earlier process owes has been read

    def init_reader(self, reader: Reader) -> None:
        """Add the hooks to a reader."""
        reader.before_feeds_update_hooks.append(self._before_feeds_update)
        reader.after_entry_update_hooks.append(self._after_entry_update)
        reader.after_feed_update_hooks.append(self._after_feed_update)
        reader.after_feeds_update_hooks.append(self._after_feeds_update)

    def tag(self, reader: Reader, entries: Sequence[Entry]) -> None:
        """Tag entries; all their paragraphs are scored in one call.

        Parameters
        ----------
        reader : Reader
        entries : sequence of Entry
            As they are stored. One that is deleted meanwhile is passed over.
        """
        classifier = self._classifier()
        articles = self._articles(reader, entries)
        results = iter(classifier.classify([text for found in articles for text in found[0]]))
        for entry, article in zip(entries, articles, strict=True):
            own = [next(results) for _ in article.paragraphs]
            with suppress(EntryNotFoundError):
                reader.set_tag(entry, TAG, _value(classifier, entry, article, own))

    def fill_in(self, reader: Reader, stop: threading.Event | None = None) -> None:
        """Tag every entry whose tag is missing or out of date, newest first.

        Returns at once where nothing is to do. Progress is stored after every batch.

        Parameters
        ----------
        reader : Reader
            May be in use by an update in another thread.
        stop : threading.Event, optional
            Ends it early when set; the next call goes on.
        """
        model = self._classifier().manifest.version
        since = self._since(reader)
        at = progress(reader)
        if since is None and at.model == model and at.done == at.total:
            return
        total = reader.get_entry_counts().total or 0
        done = 0
        for batch in _batches(reader.get_entries()):
            if stop is not None and stop.is_set():
                return
            tags = {entry.resource_id: reader.get_tag(entry, TAG, None) for entry in batch}
            stale = [entry for entry in batch if _stale(tags[entry.resource_id], entry, model)]
            if stale:
                self.tag(reader, stale)
            done += len(batch)
            self._save(reader, Progress(model, min(done, total - 1), total))
        with self._marks:
            if self._owed == since:
                self._owed = None
        self._save(reader, Progress(model, total, total))

    def _before_feeds_update(self, reader: Reader) -> None:
        self._since(reader)
        with self._marks:
            self._owed = self._owed or self._update  # the last update was not finished
            self._update = _now()
        self._save(reader, progress(reader))

    def _after_entry_update(
        self,
        reader: Reader,
        entry: Any,
        status: EntryUpdateStatus,
    ) -> None:
        self._changed.add((entry.feed_url, entry.id))

    def _after_feed_update(self, reader: Reader, feed: str) -> None:
        changed, self._changed = self._changed, set()
        if not changed:
            return
        try:
            if self._articles is from_feed:
                self.tag(reader, list(_stored(reader, feed, changed)))
                changed.clear()
        finally:
            if changed:
                with self._marks:
                    self._owed = self._owed or self._update or _now()

    def _after_feeds_update(self, reader: Reader) -> None:
        with self._marks:
            self._update = None
        self._save(reader, progress(reader))

    def _since(self, reader: Reader) -> str | None:
        with self._marks:
            if not self._known:
                self._owed = _state(reader).get("since")
                self._known = True
            return self._owed

    def _save(self, reader: Reader, at: Progress) -> None:
        with self._marks:
            since = self._owed or self._update
            reader.set_tag((), TAG, {**at._asdict(), "since": since})


def init_reader(reader: Reader) -> None:
    """Add the plugin to a reader, with the current model of the default folder."""
    Tagger(CurrentModel(DEFAULT_FOLDER).get).init_reader(reader)


def _value(
    classifier: Classifier, entry: Entry, article: Article, results: Sequence[Result]
) -> dict[str, Any]:
    topics, scores = classifier.combine(article.paragraphs, results)
    return {
        "model": classifier.manifest.version,
        **_tags(topics, scores),
        "paragraphs": [_tags(result.topics, result.scores) for result in results],
        "source": article.source,
        "last_updated": _updated(entry),
    }


def _tags(topics: Sequence[str], scores: dict[str, float]) -> dict[str, Any]:
    return {
        "topics": list(topics),
        "primary": next(iter(topics), None),
        "scores": scores,
    }


def _stale(tag: Any, entry: Entry, model: str) -> bool:
    return (
        not isinstance(tag, dict)
        or tag.get("model") != model
        or tag.get("last_updated") != _updated(entry)
    )


def _stored(reader: Reader, feed: str, wanted: set[EntryId]) -> Iterable[Entry]:
    # Far faster than one query an entry: what has just changed mostly stands first.
    left = set(wanted)
    for entry in reader.get_entries(feed=feed):
        if not left:
            return
        if entry.resource_id in left:
            left.remove(entry.resource_id)
            yield entry


def _batches(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _state(reader: Reader) -> dict[str, Any]:
    return cast(dict[str, Any], reader.get_tag((), TAG, {}))


def _updated(entry: Entry) -> str:
    return entry.last_updated.isoformat()


def _now() -> str:
    return datetime.now(UTC).isoformat()
