import json
import re
from pathlib import Path

import pytest

from service.config import variables
from tests.bench import table

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
CARD = (Path(__file__).parent.parent / "models" / "card.md").read_text("utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name}: \S+ -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, f"README has no block {name}"
    return found.group(1)


def test_the_figures_are_those_of_the_committed_card() -> None:
    lines = block("figures").splitlines()
    assert len(lines) > 6
    assert all(line in CARD.splitlines() for line in lines)


def test_the_table_of_speed_is_that_of_the_committed_measurement() -> None:
    content = json.loads((Path(__file__).parent.parent / "models" / "bench.json").read_text())
    assert len(content["lines"]) > 15
    assert block("bench") == table.block(content)


def test_every_setting_is_listed_with_its_default() -> None:
    rows = [f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in variables()]
    assert block("settings").splitlines()[2:] == rows


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (Path(__file__).parent.parent / link).exists()


def test_the_targets_of_the_makefile_are_explained_by_make_help() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text("utf-8")
    targets = "setup train serve feeds test lint evaluate bench clean help"
    for target in targets.split():
        assert re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE)
