from collections.abc import Iterator
from typing import Any

import pytest
from reader import Reader

from service.config import Settings
from service.feeds import TAG, pages
from service.feeds.polling import Poller
from tests.service.feeds import server as answers
from tests.service.feeds.server import FeedServer

pytestmark = pytest.mark.filterwarnings("ignore:No parser was explicitly specified")

FILLER = "The harbour office said that the measure had been under discussion for several weeks."
PAGE = f"""<!doctype html><html lang="en"><head><title>Steel</title></head><body>
<nav><a href="/">Home</a> <a href="/sport">Sport</a></nav>
<article><h1>Steel duties doubled</h1>
<p>Customs officers will collect a duty of 50 percent on imported steel from Friday. {FILLER}</p>
<p>Exporters said that the tariff would close the market to them. {FILLER}</p>
</article><footer>Imprint and terms</footer></body></html>"""


@pytest.fixture
def poller(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Poller]:
    monkeypatch.setattr(pages, "HOST_PAUSE_SECONDS", 0.01)
    with Poller(settings.model_copy(update={"full_text": True})) as opened:
        yield opened


def feed(server: FeedServer, *paths: str) -> None:
    items = "".join(
        f"<item><guid isPermaLink='false'>{path}</guid><title>Steel</title>"
        f"<link>{server.url(path)}</link></item>"
        for path in paths
    )
    body = f"<rss version='2.0'><channel><title>t</title>{items}</channel></rss>"
    server.answers["/feed"] = answers.of_bytes(body.encode())


def tag(reader: Reader, server: FeedServer, path: str) -> Any:
    return reader.get_tag((server.url("/feed"), path), TAG)


def test_the_article_of_the_page_is_tagged_once_it_has_been_fetched(
    poller: Poller, server: FeedServer
) -> None:
    feed(server, "/steel")
    server.answers["/steel"] = answers.of_bytes(PAGE.encode(), "text/html")
    poller.reader.add_feed(server.url("/feed"))
    poller.poll(scheduled=True)
    poller.fill_in()
    found = tag(poller.reader, server, "/steel")
    assert (found["topics"], found["source"]) == (["trade"], "full-text")
    assert len(found["paragraphs"]) >= 3
    poller.poll(scheduled=False)
    poller.fill_in()
    assert server.requests["/steel"] == 1


def test_what_robots_txt_forbids_is_not_fetched_and_the_feed_s_text_is_tagged(
    poller: Poller, server: FeedServer
) -> None:
    rules = b"User-agent: geotopics\nDisallow: /private/\n"
    server.answers["/robots.txt"] = answers.of_bytes(rules, "text/plain")
    server.answers["/private/steel"] = answers.of_bytes(PAGE.encode(), "text/html")
    feed(server, "/private/steel", "/missing")
    poller.reader.add_feed(server.url("/feed"))
    poller.poll(scheduled=True)
    poller.fill_in()
    assert server.requests["/private/steel"] == 0
    assert server.requests["/missing"] == 1
    for path in ("/private/steel", "/missing"):
        assert tag(poller.reader, server, path)["source"] == "feed"


def test_a_site_that_cannot_say_what_it_allows_is_not_asked_for_pages(
    poller: Poller, server: FeedServer
) -> None:
    server.answers["/robots.txt"] = answers.of_status(500)
    feed(server, "/steel")
    server.answers["/steel"] = answers.of_bytes(PAGE.encode(), "text/html")
    poller.reader.add_feed(server.url("/feed"))
    poller.poll(scheduled=True)
    poller.fill_in()
    assert server.requests["/steel"] == 0
    assert tag(poller.reader, server, "/steel")["source"] == "feed"
