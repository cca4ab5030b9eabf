"""Takes the text of the pages that entries link to, for those who want more than a feed says.

A page is fetched once for each content of its entry, by the same bounded session as feeds are, and
its article is found by trafilatura. ``robots.txt`` is obeyed (read by Protego, kept a day; a site
that cannot say is not asked for pages), and a host gets one request in `HOST_PAUSE_SECONDS`, or as
slowly as its ``Crawl-delay`` says.

What was found is kept under the entry tag ``geotopics.full-text``, so that a new model needs no
page twice: ``{"text": "…", "last_updated": "…"}``; ``text`` is null where there was none to be had,
and the entry is then tagged by what its feed says.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import trafilatura
from protego import Protego
from reader import Entry, EntryNotFoundError, Reader

from service.feeds import fetch
from service.feeds.plugin import Article, EntryId, feed_paragraphs
from service.feeds.text import paragraphs

TAG = "geotopics.full-text"
HOST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0  # a site that wants more between two pages is not asked for any
HOSTS_AT_ONCE = 16

_ROBOTS_SECONDS = 24 * 3600
_HTML = ("text/html", "application/xhtml+xml")

_logger = logging.getLogger(__name__)


class _Robots(NamedTuple):
    rules: Protego | None  # None forbids everything
    read_at: float


class Pages:
    """Gives the full text of entries; a source of articles for a `Tagger`.

    Parameters
    ----------
    allow_private : bool
        Whether pages may be at private, loopback and link-local addresses.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._session = requests.Session()
        fetch.secure(self._session, allow_private=allow_private)
        self._robots: dict[str, _Robots] = {}

    def articles(self, reader: Reader, entries: Sequence[Entry]) -> list[Article]:
        """Give the page's text for each entry, or what the feed says where there is none."""
        texts = {entry.resource_id: _kept(reader, entry) for entry in entries}
        wanted = [entry for entry in entries if texts[entry.resource_id] is None]
        fetched = self._fetch(wanted)
        for entry in wanted:
            text = fetched.get(entry.resource_id)
            value: Any = {"text": text, "last_updated": entry.last_updated.isoformat()}
            try:
                reader.set_tag(entry, TAG, value)
            except EntryNotFoundError:
                continue
            texts[entry.resource_id] = text
        return [_article(entry, texts[entry.resource_id]) for entry in entries]

    def _fetch(self, entries: Sequence[Entry]) -> dict[EntryId, str]:
        hosts: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.link and urlsplit(entry.link).scheme in {"http", "https"}:
                hosts[urljoin(entry.link, "/")].append(entry)
        found: dict[EntryId, str] = {}
        with ThreadPoolExecutor(HOSTS_AT_ONCE) as pool:
            for texts in pool.map(self._fetch_host, hosts, hosts.values()):
                found |= texts
        return found

    def _fetch_host(self, site: str, entries: Sequence[Entry]) -> dict[EntryId, str]:
        rules = self._rules(site)
        if rules is None:
            return {}
        pause = max(rules.crawl_delay(fetch.USER_AGENT) or 0.0, HOST_PAUSE_SECONDS)
        if pause > LONGEST_PAUSE_SECONDS:
            return {}
        found = {}
        for entry in entries:
            if entry.link and rules.can_fetch(entry.link, fetch.USER_AGENT):
                time.sleep(pause)
                text = self._text(entry.link)
                if text:
                    found[entry.resource_id] = text
        return found

    def _text(self, url: str) -> str | None:
        try:
            response = self._session.get(url)
            response.raise_for_status()
        except requests.RequestException as error:
            _logger.info("page %s: %s", url, error)
            return None
        if response.headers.get("Content-Type", "").split(";")[0].strip().lower() not in _HTML:
            return None
        return trafilatura.extract(response.content, url=response.url, include_comments=False)

    def _rules(self, site: str) -> Protego | None:
        known = self._robots.get(site)
        if known is None or known.read_at < time.monotonic() - _ROBOTS_SECONDS:
            known = _Robots(self._read_robots(site), time.monotonic())
            self._robots[site] = known
        return known.rules

    def _read_robots(self, site: str) -> Protego | None:
        # RFC 9309: a site without the file allows everything, one in trouble nothing.
        try:
            response = self._session.get(urljoin(site, "/robots.txt"))
        except requests.RequestException as error:
            _logger.info("robots.txt of %s: %s", site, error)
            return None
        if response.ok:
            return Protego.parse(response.text)
        return Protego.parse("") if 400 <= response.status_code < 429 else None


def _kept(reader: Reader, entry: Entry) -> str | None:
    # An empty text stands for one that is known not to be had.
    kept: Any = reader.get_tag(entry, TAG, None)
    if not isinstance(kept, dict) or kept.get("last_updated") != entry.last_updated.isoformat():
        return None
    return kept.get("text") or ""


def _article(entry: Entry, text: str | None) -> Article:
    if not text:
        return Article(feed_paragraphs(entry), "feed")
    return Article(paragraphs(entry.title, text, html=False), "full-text")
