"""What a fresh clone gets: the model of the shipped corpus, trained as `make train` does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.classifier import Classifier
from service.store import ModelStore
from service.topics import TOPICS
from training import corpus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
# Versions of the numerical libraries may differ in the last digits, and those decide ties.
TOLERANCE = 0.005


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("shipped")
    subprocess.run(
        [Path(sys.executable).parent / "geotopics", "train"],
        env=os.environ | {"GEOTOPICS_MODELS": str(models)},
        capture_output=True,
        check=True,
    )
    return models


def test_the_readmes_request_gets_the_readmes_answer(trained: Path) -> None:
    [request] = re.findall(r"curl -d '(\{.*?\})'", README)
    [answer] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    expected = json.loads(answer)
    [result] = Classifier.load(trained).classify([json.loads(request)["text"]])
    assert list(result.topics) == expected["topics"]
    assert result.primary == expected["primary"]
    assert result.scores == pytest.approx(expected["scores"], abs=TOLERANCE)
    assert result.coverage == expected["coverage"]


def test_the_committed_card_is_that_of_the_shipped_corpus(trained: Path) -> None:
    card = (ROOT / "models" / "card.md").read_text("utf-8")
    assert corpus.digest(corpus.read([corpus.SHIPPED]).paragraphs) in card
    store = ModelStore(trained)
    report = store.manifest(str(store.current())).metrics
    for topic in TOPICS:
        [row] = re.findall(rf"^\| `{topic}` \| (.*) \|$", card, re.MULTILINE)
        _precision, _recall, f1, average_precision, *_ = map(float, row.split(" | ")[:6])
        measured = report["topics"][topic]
        assert f1 == pytest.approx(measured["f1"], abs=TOLERANCE)
        assert average_precision == pytest.approx(measured["average_precision"], abs=TOLERANCE)


def test_the_shipped_model_is_small_and_whole(trained: Path) -> None:
    store = ModelStore(trained)
    version = str(store.current())
    store.load_arrays(version)
    size = sum(path.stat().st_size for path in store.folder(version).rglob("*.joblib"))
    assert size < 40_000_000
