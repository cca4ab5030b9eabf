import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.feeds.library import FeedsError, open_reader
from service.feeds.plugin import TAG
from service.feeds.polling import Poller
from tests.service.feeds import server as answers
from tests.service.feeds.server import FeedServer

PATIENCE = 60  # seconds until a test that hangs is given up


@pytest.fixture
def geotopics(settings: Settings) -> Callable[..., subprocess.Popen[str]]:
    """Start the command as a user does, in a process of its own."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [Path(sys.executable).parent / "geotopics", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ
            | {
                "GEOTOPICS_INSTANCE": str(settings.instance),
                "GEOTOPICS_MODELS": str(settings.models),
                "GEOTOPICS_ALLOW_PRIVATE": "1",
                "GEOTOPICS_PORT": "0",
            },
        )

    return start


def said(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, output
    return output


def test_feeds_are_managed_from_the_command_line(
    geotopics: Callable[..., subprocess.Popen[str]], server: FeedServer, tmp_path: Path
) -> None:
    good, bad = server.url("/rss20.xml"), server.url("/broken.xml")
    assert said(geotopics("feeds", "add", good, bad)) == f"Added {good}\nAdded {bad}\n"
    assert "Polled 2 feeds: 3 new items, 0 changed, 1 feeds failed." in said(
        geotopics("feeds", "update")
    )
    listed = said(geotopics("feeds", "list"))
    assert f"{good}  (Harbour Courier: World)\n  3 items, polled 20" in listed
    assert f"{bad}\n  0 items" in listed
    assert "is broken XML" in listed
    exported = said(geotopics("feeds", "export"))
    assert said(geotopics("feeds", "remove", good)) == f"Removed {good}\n"
    file = tmp_path / "my.opml"
    file.write_text(exported)
    assert said(geotopics("feeds", "import", str(file))) == "Added 1 of 2 feeds.\n"
    assert good in said(geotopics("feeds", "list"))


def test_what_cannot_be_done_is_said(
    geotopics: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    no_opml = tmp_path / "page.html"
    no_opml.write_text("<html/>")
    for arguments, words in (
        (("add", "ftp://courier.example/a"), "no address of a feed"),
        (("remove", "http://courier.example/a"), "there is no feed http://courier.example/a"),
        (("update", "http://courier.example/a"), "there is no feed http://courier.example/a"),
        (("import", str(no_opml)), "is no OPML file"),
    ):
        assert words in said(geotopics("feeds", *arguments), code=1)


def test_a_poll_that_is_killed_at_any_moment_loses_nothing_and_tags_alike(
    geotopics: Callable[..., subprocess.Popen[str]],
    server: FeedServer,
    settings: Settings,
) -> None:
    for number in range(40):
        items = "".join(
            f"<item><guid>{item}</guid><title>Tariffs on steel raised, part {item}</title></item>"
            for item in range(20)
        )
        feed = f"<rss version='2.0'><channel><title>{number}</title>{items}</channel></rss>"
        server.answers[f"/many/{number}"] = answers.of_bytes(feed.encode())
    with open_reader(settings) as reader:
        for number in range(40):
            reader.add_feed(server.url(f"/many/{number}"))
    for requests in (1, 12, 25, 38):
        with geotopics("feeds", "update") as process:
            # At another moment each time, so far as the feeds have come.
            give_up = time.monotonic() + PATIENCE
            while (
                len(server.requests) < requests
                and process.poll() is None
                and time.monotonic() < give_up
            ):
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        with open_reader(settings) as reader:
            tags_before = tags_of(reader)
    said(geotopics("feeds", "update"))
    with open_reader(settings) as reader:
        tags = tags_of(reader)
    assert len(tags) == 40 * 20
    assert tags_before.items() <= tags.items()
    assert len({str(tag) for (_, id_), tag in tags.items() if id_ == "7"}) == 1


def tags_of(reader: Any) -> dict[tuple[str, str], Any]:
    return {
        entry.resource_id: {**reader.get_tag(entry, TAG), "last_updated": ""}
        for entry in reader.get_entries(tags=[TAG])
    }


def test_a_server_polls_beside_and_ends_its_polling_with_itself(
    geotopics: Callable[..., subprocess.Popen[str]], server: FeedServer, settings: Settings
) -> None:
    with open_reader(settings) as reader:
        for number, path in ((signal.SIGTERM, "/atom.xml"), (signal.SIGKILL, "/rss10.xml")):
            url = server.url(path)
            reader.add_feed(url)
            process = geotopics("serve", "--watch")
            wait_for(lambda url=url: reader.get_entry_counts(feed=url, tags=[TAG]).total == 1)
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            wait_for(lambda: not is_locked(settings))


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def is_locked(settings: Settings) -> bool:
    try:
        with Poller(settings):
            return False
    except FeedsError:
        return True
