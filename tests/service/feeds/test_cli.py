import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from reader import Reader

from service.cli import main
from service.config import Settings
from service.feeds import TAG
from service.feeds.database import FeedsError
from service.feeds.library import open_reader
from service.feeds.polling import Poller
from tests.service.feeds import server as answers
from tests.service.feeds.server import FeedServer

pytestmark = pytest.mark.filterwarnings("ignore:No parser was explicitly specified")

PATIENCE = 60  # seconds until a test that hangs is given up
FEEDS, ITEMS = 40, 20

Run = Callable[..., str]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "GEOTOPICS_INSTANCE": str(settings.instance),
        "GEOTOPICS_MODELS": str(settings.models),
        "GEOTOPICS_ALLOW_PRIVATE": "1",
        "GEOTOPICS_PORT": "0",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def geotopics(*arguments: str, code: int = 0) -> str:
        result = CliRunner(env=environment).invoke(main, arguments)
        assert result.exit_code == code, result.output
        return result.output

    return geotopics


@pytest.fixture
def start(environment: dict[str, str]) -> Start:
    """Start the command in a process, and a group of processes, of its own."""

    def geotopics(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [Path(sys.executable).parent / "geotopics", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
            start_new_session=True,
        )

    return geotopics


def test_feeds_are_managed_from_the_command_line(
    run: Run, server: FeedServer, tmp_path: Path
) -> None:
    good, bad = server.url("/rss20.xml"), server.url("/broken.xml")
    assert run("feeds", "add", good, bad) == f"Added {good}\nAdded {bad}\n"
    polled = run("feeds", "update")
    assert "Polled 2 feeds: 3 new items, 0 changed, 1 feeds failed." in polled
    assert "Polled 1 feeds: 0 new items, 0 changed, 0 feeds failed." in run("feeds", "update", good)
    listed = run("feeds", "list")
    assert f"{good}  (Harbour Courier: World)\n  3 items, polled 20" in listed
    assert f"{bad}\n  0 items" in listed
    assert "\n  is broken XML" in listed
    file = tmp_path / "my.opml"
    file.write_text(run("feeds", "export"))
    assert run("feeds", "remove", good) == f"Removed {good}\n"
    assert run("feeds", "import", str(file)) == "Added 1 of 2 feeds.\n"
    assert good in run("feeds", "list")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "ftp://courier.example/a"), "is no address of a feed"),
        (("remove", "http://courier.example/a"), "there is no feed http://courier.example/a"),
        (("update", "http://courier.example/a"), "there is no feed http://courier.example/a"),
        (("import", __file__), "is no OPML file"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert words in run("feeds", *arguments, code=1)


def test_without_a_model_nothing_is_polled_and_it_is_said(
    run: Run, server: FeedServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["GEOTOPICS_MODELS"] = str(tmp_path / "none")
    run("feeds", "add", server.url("/rss20.xml"))
    assert "there is no model yet" in run("feeds", "update", code=1)
    assert server.requests["/rss20.xml"] == 0


def test_a_poll_that_is_killed_at_any_moment_loses_nothing_and_tags_alike(
    start: Start, server: FeedServer, settings: Settings
) -> None:
    with open_reader(settings) as reader:
        for number in range(FEEDS):
            server.answers[f"/many/{number}"] = feed_of_items()
            reader.add_feed(server.url(f"/many/{number}"))
    before: dict[tuple[str, str], Any] = {}
    for polled in (1, FEEDS // 3, FEEDS - 2):
        with start("feeds", "update") as process:
            # Killed at another moment each time.
            wait_for(lambda at=polled: len(server.requests) >= at)  # type: ignore[misc]
            process.kill()
        with open_reader(settings) as reader:
            after = tags(reader)
        assert before.items() <= after.items()
        before = after
    assert start("feeds", "update").wait(PATIENCE) == 0
    with open_reader(settings) as reader:
        after = tags(reader)
    assert len(after) == FEEDS * ITEMS
    assert before.items() <= after.items()
    assert {str(value["scores"]) for (_, item), value in after.items() if item == "7"} == {
        str(after[server.url("/many/0"), "7"]["scores"])
    }


def feed_of_items() -> answers.Answer:
    items = "".join(
        f"<item><guid isPermaLink='false'>{item}</guid><title>Tariffs up, {item}</title></item>"
        for item in range(ITEMS)
    )
    feed = f"<rss version='2.0'><channel><title>Tariffs</title>{items}</channel></rss>"
    return answers.of_bytes(feed.encode())


def tags(reader: Reader) -> dict[tuple[str, str], Any]:
    return {
        entry.resource_id: reader.get_tag(entry, TAG) for entry in reader.get_entries(tags=[TAG])
    }


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_polls_beside_and_its_polling_ends_with_it(
    start: Start, server: FeedServer, settings: Settings, end: signal.Signals
) -> None:
    with open_reader(settings) as reader:
        reader.add_feed(server.url("/rss20.xml"))
        with start("serve", "--watch") as process:
            try:
                wait_for(lambda: reader.get_entry_counts(tags=[TAG]).total == 3)
                process.send_signal(end)
                process.wait(PATIENCE)
                wait_for(lambda: not is_polled(settings))
            finally:
                if end == signal.SIGKILL:  # the server's own workers are not in question here
                    os.killpg(process.pid, signal.SIGKILL)


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def is_polled(settings: Settings) -> bool:
    try:
        with Poller(settings):
            return False
    except FeedsError:
        return True
