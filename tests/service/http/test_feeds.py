import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser
import pytest
from flask.testing import FlaskClient
from lxml import etree

from service.config import Settings
from service.feeds.database import DATABASE
from service.feeds.library import open_reader
from service.feeds.publishing import publish
from service.http import create_app
from service.topics import TOPICS
from tests.service.feeds.samples import FEED, OTHER, add, retag
from tests.service.http.test_problems import problem

CODES = "http://cv.iptc.org/newscodes/mediatopic/"
HOSTILE: dict[str, Any] = {
    "title": "Tariffs <b>rise</b> &amp; \x0bfall 😀",
    "summary": "<script>alert(1)</script><p>Steel &lt; iron &amp; tin\x00\x01.</p><img src=x>]]>",
    "link": "javascript:alert(1)",
    "authors": [{"name": "A. <i>Writer</i>"}],
    "published": datetime(1, 1, 1, tzinfo=UTC),
}


@pytest.fixture
def desk(tmp_path: Path) -> Settings:
    """An installation of the test's own."""
    return Settings(models=tmp_path, instance=tmp_path)


@pytest.fixture
def own(desk: Settings) -> FlaskClient:
    return create_app(desk).test_client()


def names(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(f"/v1/entries?{query}")
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.data)
    return [entry["title"].removeprefix("Title of ") for entry in found["entries"]]


@pytest.mark.parametrize("form", ["atom", "rss"])
def test_feedparser_reads_a_topic_feed(client: FlaskClient, form: str) -> None:
    answer = client.get(f"/feeds/defense.{form}")
    assert answer.status_code == 200
    found = feedparser.parse(answer.data, response_headers={"content-type": answer.content_type})
    assert not found.bozo
    assert found.version == {"atom": "atom10", "rss": "rss20"}[form]
    assert found.feed.title == "geotopics: defense"
    [own_link] = [link.href for link in found.feed.links if link.rel == "self"]
    assert own_link == f"http://localhost/feeds/defense.{form}"
    assert [entry.title for entry in found.entries] == ["Title of three", "Title of one"]
    entry = found.entries[1]
    assert entry.id.startswith("urn:uuid:")
    assert entry.link == "https://news.example/one"
    assert entry.summary == "<p>First paragraph of one.</p><p>Ships &amp; troops wait.</p>"
    assert entry.author == FEED
    categories = {(tag.scheme, tag.term) for tag in entry.tags}
    assert ("http://localhost/v1/model", "defense") in categories
    assert {term for scheme, term in categories if scheme == CODES} == {"20000056", "20000598"}
    assert entry.source.get("id", entry.source.get("href")) == FEED


def test_a_json_feed_has_what_version_1_1_asks_for(client: FlaskClient) -> None:
    answer = client.get("/feeds/defense.json")
    assert answer.content_type.startswith("application/feed+json")
    feed = json.loads(answer.data)
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["feed_url"] == "http://localhost/feeds/defense.json"
    assert [item["tags"] for item in feed["items"]] == [
        ["territorial-dispute", "defense"],
        ["defense"],
    ]
    for item in feed["items"]:
        assert isinstance(item["id"], str)
        assert item["content_text"]
        assert datetime.fromisoformat(item["date_published"]).tzinfo


def test_every_format_gives_an_entry_the_same_id(client: FlaskClient) -> None:
    atom = feedparser.parse(client.get("/feeds/any.atom").data).entries
    rss = feedparser.parse(client.get("/feeds/any.rss").data).entries
    feed = client.get("/feeds/any.json").json
    assert feed is not None
    ids = [item["id"] for item in feed["items"]]
    assert len(set(ids)) == 3
    assert [entry.id for entry in atom] == [entry.id for entry in rss] == ids


def test_atom_has_what_rfc_4287_requires(client: FlaskClient) -> None:
    root = etree.fromstring(client.get("/feeds/any.atom").data)
    atom = "{http://www.w3.org/2005/Atom}"
    assert root.tag == f"{atom}feed"
    for element in (root, *root.iterfind(f"{atom}entry")):
        for name in ("id", "title", "updated"):
            [child] = element.iterfind(f"{atom}{name}")
            assert child.text
        assert len(element.findall(f"{atom}author/{atom}name")) == 1
        assert datetime.fromisoformat(str(element.findtext(f"{atom}updated"))).tzinfo
    for source in root.iterfind(f"{atom}entry/{atom}source"):
        assert all(source.findtext(f"{atom}{name}") for name in ("id", "title", "updated"))


def test_hostile_entries_are_published_as_plain_text(desk: Settings, own: FlaskClient) -> None:
    with open_reader(desk) as reader:
        add(reader, "one", ["trade"], **HOSTILE)
        add(reader, "two", ["trade"], title=None, summary=None, link=None, published=None)
        publish(desk, reader)
    for form in ("atom", "rss"):
        answer = own.get(f"/feeds/trade.{form}")
        etree.fromstring(answer.data)
        bare, hostile = feedparser.parse(answer.data).entries
        assert hostile.title == "Tariffs rise & fall 😀"
        assert hostile.author == "A. Writer"
        assert hostile.summary == "<p>Steel &lt; iron &amp; tin .</p><p>]]&gt;</p>"
        assert hostile.link == hostile.id
        assert bare.title == "Untitled"
    for entry in json.loads(own.get("/feeds/trade.json").data)["items"]:
        assert "url" not in entry


def test_topics_are_chosen_by_one_or_by_all(client: FlaskClient) -> None:
    assert names(client, "") == ["three", "two", "one"]
    assert names(client, "topics=defense,trade") == ["three", "two", "one"]
    assert names(client, "topics=defense,territorial-dispute&all=1") == ["three"]
    assert names(client, "topics=defense,trade&all=1") == []
    feed = client.get("/feeds/defense.json?topics=territorial-dispute&all=1").json
    assert feed is not None
    assert [item["title"] for item in feed["items"]] == ["Title of three"]


def test_entries_are_chosen_by_source_words_and_time(client: FlaskClient) -> None:
    assert names(client, f"source={OTHER}") == ["three"]
    assert names(client, "source=https://nobody.example/") == []
    assert names(client, "q=first+two") == ["two"]
    assert names(client, 'q="paragraph of one"') == ["one"]
    assert names(client, "q=troop&topics=trade") == ["two"]
    assert names(client, "q=first+zebra") == []
    assert names(client, "since=2999-01-01") == []
    assert names(client, "since=2020-01-01T00:00:00Z&limit=2") == ["three", "two"]


@pytest.mark.parametrize(
    "words", ['"', "AND", "a*", "title:one", "(", "-", "NEAR(", '"" ""', "%00"]
)
def test_words_are_never_read_as_a_query_language(client: FlaskClient, words: str) -> None:
    assert client.get("/v1/entries", query_string=f"q={words}").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("topics=sport", "topics.0"),
        ("topics=", "topics.0"),
        ("all=yes", "all"),
        ("since=yesterday", "since"),
        ("since=2026-02-30", "since"),
        ("after=x", "after"),
        ("after=99999999999999999999.1", "after"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("q=+", "q"),
        ("source=", "source"),
        ("topic=defense", "topic"),
        ("q=a&q=b", "q"),
    ],
)
def test_a_parameter_that_cannot_be_accepted_is_named(
    client: FlaskClient, query: str, field: str
) -> None:
    found = problem(client.get(f"/v1/entries?{query}"))
    assert found.status == 422
    assert found.errors[0].field == field


@pytest.mark.parametrize("address", ["/feeds/sport.atom", "/feeds/any.xml", "/feeds/any"])
def test_a_feed_that_does_not_exist_is_not_found(client: FlaskClient, address: str) -> None:
    assert problem(client.get(address)).status == 404


def test_without_feeds_everything_is_empty_and_valid(own: FlaskClient) -> None:
    for form in ("atom", "rss"):
        found = feedparser.parse(own.get(f"/feeds/any.{form}").data)
        assert not found.bozo
        assert found.feed.title
        assert not found.entries
    assert json.loads(own.get("/feeds/any.json").data)["items"] == []
    assert own.get("/v1/entries").json == {"entries": [], "next": None}
    assert own.get("/v1/feeds/status").json == {"model": None, "done": 0, "total": 0}


def test_a_damaged_database_is_a_problem_and_no_secret(desk: Settings, own: FlaskClient) -> None:
    (desk.instance / DATABASE).write_bytes(b"no database" * 1000)
    found = problem(own.get("/feeds/any.atom"))
    assert found.status == 503
    assert str(desk.instance) not in found.detail


def test_what_has_not_changed_is_not_sent_again(desk: Settings, own: FlaskClient) -> None:
    with open_reader(desk) as reader:
        add(reader, "one", ["trade"])
        publish(desk, reader)
        first = own.get("/feeds/trade.atom")
        known = {"If-None-Match": first.headers["ETag"]}
        again = own.get("/feeds/trade.atom", headers=known)
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        assert own.get("/feeds/trade.atom", headers=since).status_code == 304
        add(reader, "two", ["trade"])
        publish(desk, reader)
        assert own.get("/feeds/trade.atom", headers=known).status_code == 200


def test_answers_are_compressed_for_those_who_accept_it(client: FlaskClient) -> None:
    plain = client.get("/feeds/any.atom")
    packed = client.get("/feeds/any.atom", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    refused = client.get("/feeds/any.atom", headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.data == plain.data


def test_pages_lose_and_repeat_nothing_while_entries_arrive(
    desk: Settings, own: FlaskClient
) -> None:
    chance = random.Random(7)  # noqa: S311
    old = datetime(2026, 1, 1, tzinfo=UTC)
    with open_reader(desk) as reader:

        def arrive(name: str) -> None:
            # Some are older than what has been read, and some stand at the same time.
            published = old + timedelta(days=chance.randrange(3)) if chance.random() < 0.7 else None
            add(reader, name, ["trade"], published=published)

        for number in range(40):
            arrive(f"there {number}")
        publish(desk, reader)
        found: list[str] = []
        cursor = ""
        while cursor is not None:
            page: Any = own.get(f"/v1/entries?limit=7{cursor and f'&after={cursor}'}").json
            found += [entry["title"] for entry in page["entries"]]
            cursor = page["next"]
            arrive(f"new {len(found)}")
            publish(desk, reader)
    assert len(found) == len(set(found))
    assert {f"Title of there {number}" for number in range(40)} <= set(found)


def test_items_follow_their_tags(desk: Settings, own: FlaskClient) -> None:
    with open_reader(desk) as reader:
        add(reader, "one", ["trade"])
        add(reader, "two", ["trade"])
        publish(desk, reader)
        [entry] = own.get("/v1/entries?q=one").json["entries"]  # type: ignore[index]
        retag(reader, "one", ["defense"])
        retag(reader, "two", [])
        publish(desk, reader)
        assert names(own, "topics=trade") == []
        assert names(own, "topics=defense") == ["one"]
        reader.change_feed_url(FEED, "https://moved.example/world.xml")
        publish(desk, reader)
        [moved] = own.get("/v1/entries").json["entries"]  # type: ignore[index]
        assert moved["id"] == entry["id"]
        assert moved["source"]["url"] == "https://moved.example/world.xml"
        reader.delete_feed("https://moved.example/world.xml")
        publish(desk, reader)
        assert names(own, "q=one") == []


def test_the_list_of_feeds_can_be_imported(client: FlaskClient) -> None:
    outlines = etree.fromstring(client.get("/opml").data).findall("body/outline")
    addresses = [outline.get("xmlUrl") for outline in outlines]
    assert len(addresses) == 1 + len(TOPICS)
    for address in addresses:
        assert client.get(str(address)).status_code == 200


def test_the_home_page_leads_to_the_feeds(client: FlaskClient) -> None:
    page = client.get("/").text
    assert page.count('rel="alternate" type="application/atom+xml"') == 1 + len(TOPICS)
    assert 'href="/opml"' in page
