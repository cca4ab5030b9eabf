"""What a fresh clone gets: the model of the shipped corpus, trained as `make train` does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.classifier import Classifier
from service.store import ModelStore
from service.topics import TOPICS
from training import corpus
from training.fit import CalibratedTopics

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


@pytest.fixture(scope="module")
def pipeline(trained: Path) -> CalibratedTopics:
    store = ModelStore(trained)
    loaded: CalibratedTopics = joblib.load(store.folder(str(store.current())) / "pipeline.joblib")
    return loaded


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    return Classifier.load(trained)


def scores(classifier: Classifier, texts: Sequence[str]) -> list[list[float]]:
    return [[result.scores[topic] for topic in TOPICS] for result in classifier.classify(texts)]


def test_scores_of_the_corpus_are_those_of_the_saved_scikit_learn_pipeline(
    classifier: Classifier, pipeline: CalibratedTopics
) -> None:
    texts = [paragraph.text for paragraph in corpus.read([corpus.SHIPPED]).paragraphs]
    np.testing.assert_allclose(scores(classifier, texts), pipeline.predict_proba(texts), atol=1e-5)


# Words that are known, so that there is something to add up, between characters of any script.
CHARACTERS = st.one_of(
    st.characters(),
    st.characters(categories=["Mn", "Mc", "Me"]),
    st.sampled_from("\0\ud7ff\ud800\udfff\ue000\uffff\U0010ffff"),
    st.sampled_from("the army exports 1 25 <&;>"),
)
TEXTS = st.lists(
    st.one_of(st.sampled_from(["The Army exported 25 tanks", "steel tariff"]), CHARACTERS),
    max_size=30,
).map("".join)


@given(texts=st.lists(TEXTS, min_size=10, max_size=15))
@example(texts=["a" * 1_000_000, "é" * 500_000, "tanks" * 200_000, "army " * 200_000, ""])
@settings(deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
def test_scores_of_ten_thousand_unicode_texts_are_those_of_the_pipeline(
    classifier: Classifier, pipeline: CalibratedTopics, texts: list[str]
) -> None:
    np.testing.assert_allclose(scores(classifier, texts), pipeline.predict_proba(texts), atol=1e-5)


def test_the_shipped_model_is_small_and_whole(trained: Path) -> None:
    store = ModelStore(trained)
    version = str(store.current())
    store.load_arrays(version)
    size = sum(path.stat().st_size for path in store.folder(version).rglob("*.joblib"))
    assert size < 40_000_000
