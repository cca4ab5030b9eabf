"""From feeds of every kind, by the commands that a user types, to what a feed reader gets."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import feedparser
import pytest
import requests
from click.testing import CliRunner
from lxml import etree

from service.classifier import Classifier
from service.cli import main
from service.config import Settings
from service.feeds import fetch
from service.topics import TOPICS
from tests.service.feeds.server import FeedServer
from tests.service.feeds.test_polling import BAD, GOOD, tags_of_good
from tests.service.test_serve import connect, port_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::reader.ReaderWarning"),
    pytest.mark.filterwarnings("ignore:No parser was explicitly specified"),
    # reader leaves files open where it gives up.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_feeds_good_and_bad_are_polled_and_published_again_by_topic(
    server: FeedServer,
    settings: Settings,
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 1)
    monkeypatch.setattr(fetch, "SILENT_TIMES", 100)  # they are all on one host here
    server.answers |= {path: answer for path, (answer, _) in BAD.items() if answer is not None}
    environment = {
        "GEOTOPICS_INSTANCE": str(settings.instance),
        "GEOTOPICS_MODELS": str(settings.models),
        "GEOTOPICS_ALLOW_PRIVATE": "1",
        "GEOTOPICS_PORT": "0",
    }
    runner = CliRunner(env=environment)

    def geotopics(*arguments: str) -> str:
        result = runner.invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    outlines = "".join(f'<outline type="rss" xmlUrl="{server.url(path)}"/>' for path in GOOD)
    opml = tmp_path / "my.opml"
    opml.write_text(f'<opml version="2.0"><head/><body>{outlines}</body></opml>')
    assert f"Added {len(GOOD)} of {len(GOOD)} feeds." in geotopics("feeds", "import", str(opml))
    geotopics("feeds", "add", *map(server.url, BAD))
    total = len(GOOD) + len(BAD)
    polled = geotopics("feeds", "update")
    assert f"Polled {total} feeds: 8 new items, 0 changed, {len(BAD)} feeds failed." in polled
    blocks = re.split(r"\n(?=http)", geotopics("feeds", "list"))
    said = {block.split()[0]: block for block in blocks}
    for path, (_, line) in BAD.items():
        assert re.search(line, said[server.url(path)])

    titles = {topic: set[str]() for topic in TOPICS}
    for title, topics in tags_of_good(classifier).items():
        for topic in topics:
            titles[topic].add(title)
    command = [str(Path(sys.executable).parent / "geotopics"), "serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:
        try:
            address = f"http://127.0.0.1:{(port := port_of(process))}"
            connect(port).close()
            listed = etree.fromstring(requests.get(f"{address}/opml", timeout=10).content)
            subscriptions = [outline.get("xmlUrl") for outline in listed.iterfind("body/outline")]
            assert f"{address}/feeds/any.atom" in subscriptions
            for topic in TOPICS:
                assert f"{address}/feeds/{topic}.atom" in subscriptions
                for form in ("atom", "rss"):
                    feed = feedparser.parse(f"{address}/feeds/{topic}.{form}")
                    assert not feed.bozo
                    assert {entry.title for entry in feed.entries} == titles[topic]
                items = requests.get(f"{address}/feeds/{topic}.json", timeout=10).json()["items"]
                assert {item["title"] for item in items} == titles[topic]
        finally:
            process.terminate()
    gc.collect()
