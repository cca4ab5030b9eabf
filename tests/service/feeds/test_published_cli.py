import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from service.cli import main
from service.config import Settings
from tests.service.feeds import samples

Run = Callable[..., str]


@pytest.fixture
def run(settings: Settings) -> Run:
    environment = {
        "GEOTOPICS_INSTANCE": str(settings.instance),
        "GEOTOPICS_MODELS": str(settings.models),
    }

    def geotopics(*arguments: str, code: int = 0) -> str:
        result = CliRunner(env=environment).invoke(main, ["feeds", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return geotopics


def test_entries_are_printed_for_people_and_for_programs(run: Run, settings: Settings) -> None:
    assert run("entries") == ""
    samples.fill(settings)
    shown = run("entries", "--topic", "defense")
    assert shown.index("Title of three") < shown.index("Title of one")
    assert "territorial-dispute 0.90, defense 0.90" in shown
    assert "https://news.example/three" in shown
    assert "Title of two" not in shown
    both = ("--topic", "defense", "--topic", "territorial-dispute", "--all")
    [line] = run("entries", *both, "--since", "2020-01-01", "--json").splitlines()
    assert json.loads(line)["title"] == "Title of three"
    assert len(run("entries", "--limit", "2", "--json").splitlines()) == 2
    assert run("entries", "-q", "zebra") == ""
    assert run("entries", "--source", samples.OTHER).count("Title of") == 1


def test_a_removed_feed_is_no_longer_published(run: Run, settings: Settings) -> None:
    samples.fill(settings)
    run("remove", samples.FEED)
    assert run("entries").count("Title of") == 1


def test_subscriptions_are_added_listed_and_removed(run: Run) -> None:
    assert run("notify", "list") == ""
    assert "no subscription 1" in run("notify", "remove", "1", code=1)
    url = "https://desk.example/hook"
    added = run("notify", "add", "--topic", "defense", "--min-score", "0.8", url)
    secret = added.splitlines()[1]
    assert secret.startswith("whsec_")
    listed = run("notify", "list")
    assert f"1  defense from 0.8  {url}" in listed
    assert "0 delivered, 0 waiting, 0 given up" in listed
    assert secret not in listed
    run("notify", "remove", "1")
    assert run("notify", "list") == ""
    assert "no web address" in run("notify", "add", "desk.example", code=1)
    run("notify", "add", "--topic", "sport", url, code=2)
