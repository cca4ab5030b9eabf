import gc
import logging
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.classifier import Classifier
from service.config import Settings
from service.feeds import TAG, fetch, polling
from service.feeds.database import DATABASE, FeedsError
from service.feeds.polling import Poller, Row
from service.topics import TOPICS
from tests.service.feeds import server as answers
from tests.service.feeds.server import FILES, FeedServer

pytestmark = [
    pytest.mark.filterwarnings("ignore::reader.ReaderWarning"),
    pytest.mark.filterwarnings("ignore:No parser was explicitly specified"),  # reader knows
]

PATIENCE = 60  # seconds until a test that hangs is given up

README = (FILES.parents[3] / "README.md").read_text("utf-8")

GOOD = {
    "/rss20.xml": [
        "Steel duties doubled as talks stall\n\n"
        "Customs officers will collect a duty of 50 percent on imported steel from Friday.\n\n"
        "Exporters said that the tariff would close the market to them.",
        "Keeper saves late penalty in cup tie\n\n"
        "The goalkeeper saved a late penalty and the home side went through to the last eight.",
        "Shells fall on river town\n\n"
        "Artillery shelled the river town overnight and an armoured brigade moved up to the bridge."
        "\n\nThe defence ministry said that air defences had shot down nine drones.",
    ],
    "/rss10.xml": [
        "Parliament ratifies border treaty\n\nThe treaty draws the frontier along the old river "
        "bed and ends rival claims to eleven villages."
    ],
    "/rss091.xml": [
        "Envoys meet on disputed ridge\n\n"
        "Two foreign ministers met to discuss the ridge that both of their countries claim."
    ],
    "/rss090.xml": ["Grain exports resume through the strait"],
    "/atom.xml": [
        "Ambassador summoned over remarks\n\n"
        "The foreign ministry summoned the ambassador and handed over a note of protest."
    ],
    "/feed.json": [
        "Quota on fertiliser exports\n\nThe government has put a quota on exports of fertiliser."
        "\n\nTraders expect shipments to fall by a third."
    ],
}
"""The text of each item that the feeds hold, its title first."""

BAD: dict[str, tuple[answers.Answer | None, str]] = {
    "/hang": (answers.hang, "the answer took more than 1 seconds"),
    "/drip-header": (answers.drip_header, "the answer took more than 1 seconds"),
    "/drip-body": (answers.drip_body, "the answer took more than 1 seconds"),
    "/500": (answers.of_status(500), "500 Internal Server Error"),
    "/404": (answers.of_status(404), "404 Not Found"),
    "/410": (answers.of_status(410), "410 Gone, not polled again"),
    "/circle": (answers.redirect(302, "/circle"), "redirects more than 5 times"),
    "/scheme": (answers.redirect(302, "file:///etc/hostname"), "No connection adapters were found"),
    "/huge": (answers.huge, "larger than 8 MB"),
    "/zip-bomb": (answers.zip_bomb, "larger than 8 MB"),
    "/not-gzip": (answers.not_gzip, "is not compressed in the way it says"),
    "/page.html": (None, "is broken XML"),
    "/broken.xml": (None, "is broken XML"),
    "/bomb.xml": (None, "is broken XML: .*undefined entity"),
}
"""Each kind of bad feed with how it is served, and what the list says of it."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 1)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """Let time pass for what is scheduled, and tell the time."""
    passed = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + passed

    def move(by: timedelta) -> datetime:
        nonlocal passed
        passed += by
        return datetime.now(UTC) + passed

    monkeypatch.setattr(polling, "datetime", Clock)
    monkeypatch.setattr("reader.Reader._now", staticmethod(lambda: Clock.now(UTC)))
    return move


def row(poller: Poller, url: str) -> Row:
    [found] = [row for row in polling.overview(poller.reader) if row.url == url]
    return found


def tags_of_good(classifier: Classifier) -> dict[str, list[str]]:
    """Tag the items of the good feeds by their text alone."""
    return {
        text.partition("\n")[0]: sorted(classifier.classify_article(text).topics)
        for texts in GOOD.values()
        for text in texts
    }


def topics(poller: Poller) -> dict[str, list[str]]:
    tags: dict[str, Any] = {
        re.sub("<.*?>", "", entry.title or ""): poller.reader.get_tag(entry, TAG)
        for entry in poller.reader.get_entries()
    }
    return {title: sorted(tag["topics"]) for title, tag in tags.items()}


def test_feeds_of_every_kind_are_read_and_tagged(
    poller: Poller, server: FeedServer, classifier: Classifier
) -> None:
    for path in GOOD:
        poller.reader.add_feed(server.url(path))
    summary = poller.poll(scheduled=True)
    assert summary == (len(GOOD), 8, 0, 0)
    tags = tags_of_good(classifier)
    assert topics(poller) == tags
    assert {topic for found in tags.values() for topic in found} == set(TOPICS)
    assert not tags["Keeper saves late penalty in cup tie"]


def test_nothing_is_read_twice_where_nothing_has_changed(
    poller: Poller, server: FeedServer
) -> None:
    for path in GOOD:
        poller.reader.add_feed(server.url(path))
    poller.poll(scheduled=True)
    assert poller.poll(scheduled=True).feeds == 0
    assert poller.poll(scheduled=False) == (len(GOOD), 0, 0, 0)
    assert "If-None-Match" in server.headers_seen["/atom.xml"]


@pytest.mark.parametrize("line", {line.split(":")[0] for _, line in BAD.values()})
def test_what_is_said_of_bad_feeds_stands_in_the_readme(line: str) -> None:
    assert f"`{line.replace(' 1 ', ' 30 ')}`" in README


@pytest.mark.usefixtures("impatient")
def test_bad_feeds_are_named_and_others_go_on(poller: Poller, server: FeedServer) -> None:
    for path, (answer, _) in BAD.items():
        if answer is not None:
            server.answers[path] = answer
    for path in [*BAD, *GOOD]:
        poller.reader.add_feed(server.url(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "SILENT_TIMES", 100)  # they are all on one host here
        summary = poller.poll(scheduled=True)
    assert (summary.feeds, summary.new, summary.failed) == (len(BAD) + len(GOOD), 8, len(BAD))
    for path, (_, line) in BAD.items():
        found = row(poller, server.url(path))
        assert found.items == 0
        assert re.search(line, found.problem or "")
    poller.fill_in()
    assert len(topics(poller)) == 8


# reader leaves files open where it gives up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_feed_that_breaks_reader_does_not_stop_the_others(
    poller: Poller, server: FeedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "reader")  # its records would keep the files
    for path in ["/surrogate.json", *GOOD]:
        poller.reader.add_feed(server.url(path))
    summary = poller.poll(scheduled=True)
    assert (summary.feeds, summary.new, summary.failed) == (len(GOOD) + 1, 8, 1)
    problem = row(poller, server.url("/surrogate.json")).problem
    assert "surrogates not allowed" in (problem or "")
    assert poller.poll(scheduled=False).failed == 0  # it is left alone
    gc.collect()


def test_a_host_that_asks_to_wait_gets_its_time(
    poller: Poller, server: FeedServer, later: Callable[[timedelta], datetime]
) -> None:
    server.answers["/busy"] = answers.of_status(429, Retry_After="7200")
    url = server.url("/busy")
    poller.reader.add_feed(url)
    poller.poll(scheduled=True)
    found = row(poller, url)
    assert found.problem == "429 Too Many Requests"
    assert found.next is not None
    assert found.next >= datetime.now(UTC) + timedelta(seconds=7190)
    later(timedelta(minutes=110))
    assert poller.poll(scheduled=True).feeds == 0
    assert poller.poll(scheduled=False).feeds == 0


def test_pauses_grow_with_failures_and_end_with_them(
    poller: Poller, server: FeedServer, later: Callable[[timedelta], datetime]
) -> None:
    server.answers["/a"] = answers.of_status(500)
    url = server.url("/a")
    poller.reader.add_feed(url)
    pauses = []
    for _ in range(7):
        poller.poll(scheduled=True)
        now = later(timedelta())
        until = row(poller, url).next
        assert until is not None
        pauses.append((until - now).total_seconds() / 3600)
        later(until - now + timedelta(hours=2))
    assert pauses[1:5] == pytest.approx([2, 4, 8, 16], abs=0.1)
    assert pauses[5:] == pytest.approx([24, 24], abs=0.1)
    server.answers["/a"] = server.answers["/atom.xml"]
    assert poller.poll(scheduled=True).new == 1
    assert row(poller, url).problem is None
    later(timedelta(hours=2))
    assert poller.poll(scheduled=True).feeds == 1


def test_a_feed_that_has_moved_for_good_keeps_its_items_under_its_new_address(
    poller: Poller, server: FeedServer
) -> None:
    poller.reader.add_feed(server.url("/old"))
    server.answers["/old"] = server.answers["/atom.xml"]
    poller.poll(scheduled=True)
    server.answers["/old"] = answers.redirect(301, "/new")
    server.answers["/new"] = answers.redirect(308, "/atom.xml")
    poller.poll(scheduled=False)
    [feed] = poller.reader.get_feeds()
    [entry] = poller.reader.get_entries()
    assert feed.url == entry.feed_url == server.url("/atom.xml")
    assert poller.reader.get_tag(entry, TAG)


def test_a_feed_that_is_elsewhere_for_now_stays_where_it_is(
    poller: Poller, server: FeedServer
) -> None:
    server.answers["/here"] = answers.redirect(302, "/there")
    server.answers["/there"] = answers.redirect(301, "/atom.xml")
    poller.reader.add_feed(server.url("/here"))
    assert poller.poll(scheduled=True).new == 1
    [feed] = poller.reader.get_feeds()
    assert feed.url == server.url("/here")


def test_a_feed_that_has_moved_to_another_one_is_stopped(
    poller: Poller, server: FeedServer
) -> None:
    server.answers["/old"] = answers.redirect(301, "/atom.xml")
    for path in ("/old", "/atom.xml"):
        poller.reader.add_feed(server.url(path))
    poller.poll(scheduled=True)
    found = row(poller, server.url("/old"))
    assert found.next is None
    assert "has moved to" in (found.problem or "")


def test_a_feed_that_is_gone_for_good_is_polled_again_only_when_added_again(
    poller: Poller, server: FeedServer
) -> None:
    url = server.url("/gone")
    server.answers["/gone"] = answers.of_status(410)
    poller.reader.add_feed(url)
    poller.poll(scheduled=True)
    assert poller.poll(scheduled=False).feeds == 0
    assert row(poller, url).next is None
    server.answers["/gone"] = server.answers["/atom.xml"]
    polling.resume(poller.reader, url)
    assert poller.poll(scheduled=False).new == 1


def test_an_item_without_id_or_link_is_left_out_and_one_without_a_date_is_not(
    poller: Poller, server: FeedServer
) -> None:
    poller.reader.add_feed(server.url("/bare.xml"))
    poller.poll(scheduled=True)
    assert topics(poller) == {"Convoy reaches garrison": ["defense"]}


def test_of_items_with_the_same_id_the_first_is_kept(poller: Poller, server: FeedServer) -> None:
    poller.reader.add_feed(server.url("/repeated.xml"))
    poller.poll(scheduled=True)
    poller.poll(scheduled=False)
    assert topics(poller) == {"Tariffs on copper raised": ["trade"]}


def test_a_wrong_or_changed_encoding_is_seen_through(poller: Poller, server: FeedServer) -> None:
    url = server.url("/latin.xml")
    poller.reader.add_feed(url)
    poller.poll(scheduled=True)
    assert list(topics(poller)) == ["Café owners protest"]
    text = (FILES / "latin.xml").read_text("iso-8859-1").replace("protest<", "protested<")
    server.answers["/latin.xml"] = answers.of_bytes(text.encode("utf-16"))
    assert poller.poll(scheduled=False).changed == 1
    assert list(topics(poller)) == ["Café owners protested"]


def test_a_changed_item_is_tagged_anew(poller: Poller, server: FeedServer) -> None:
    poller.reader.add_feed(server.url("/rss091.xml"))
    poller.poll(scheduled=True)
    body = (FILES / "rss091.xml").read_bytes()
    first, second = b"Envoys meet on disputed ridge", b"Choir wins prize"
    body = body.replace(first, second).replace(
        b"Two foreign ministers met to discuss the ridge that both of their countries claim.",
        b"The village choir has won a prize for its singing.",
    )
    server.answers["/rss091.xml"] = answers.of_bytes(body)
    assert poller.poll(scheduled=False).changed == 1
    assert topics(poller) == {"Choir wins prize": []}


def test_a_database_in_use_is_named_and_the_next_round_goes_on(
    poller: Poller, server: FeedServer, settings: Settings
) -> None:
    poller.reader.add_feed(server.url("/rss20.xml"))
    poller.reader._storage.get_db().execute("PRAGMA busy_timeout = 50")  # type: ignore[attr-defined]
    other = sqlite3.connect(settings.instance / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(FeedsError, match=r"cannot be stored .*locked"):
        poller.poll(scheduled=True)
    other.execute("ROLLBACK")
    other.close()
    assert poller.poll(scheduled=True).new == 3
    assert len(topics(poller)) == 3


def test_a_full_disk_is_named_and_the_next_round_goes_on(
    poller: Poller, server: FeedServer
) -> None:
    poller.reader.add_feed(server.url("/rss20.xml"))
    database = poller.reader._storage.get_db()  # type: ignore[attr-defined]
    [pages] = database.execute("PRAGMA page_count").fetchone()
    text = (FILES / "rss20.xml").read_text().replace("overnight", "overnight " + "again " * 5000)
    server.answers["/rss20.xml"] = answers.of_bytes(text.encode())
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(FeedsError, match=r"cannot be stored .*full"):
        poller.poll(scheduled=True)
    assert poller.reader.get_entry_counts().total == 0
    database.execute("PRAGMA max_page_count = 1000000")
    assert poller.poll(scheduled=True).new == 3
    assert len(topics(poller)) == 3


def test_one_process_polls_at_a_time(poller: Poller, settings: Settings) -> None:
    assert poller.reader is not None
    with pytest.raises(FeedsError, match="another process is polling"):
        Poller(settings)
