import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import pytest

from service.classifier import Classifier
from service.errors import ModelError
from service.store import ModelStore
from service.topics import TOPICS
from training import evaluate, features, figures
from training.corpus import Paragraph
from training.train import FEWEST, TOLERATED_LOSS, Outcome, TrainingError, train


def run(paragraphs: Sequence[Paragraph], store: ModelStore, *, force: bool = False) -> Outcome:
    return train(paragraphs, store, force=force, progress=lambda _doing, _done: None, jobs=2)


@pytest.fixture(scope="module")
def folder(model_store: ModelStore) -> Path:
    version = model_store.current()
    assert version is not None
    return model_store.folder(version)


def test_a_model_comes_with_metrics_card_and_figures(folder: Path) -> None:
    report = json.loads((folder / "metrics.json").read_text())
    card = (folder / "card.md").read_text()
    assert set(report["topics"]) == set(TOPICS)
    for topic, measures in report["topics"].items():
        row = next(line for line in card.splitlines() if line.startswith(f"| `{topic}`"))
        assert f"{measures['f1']:.3f}" in row
    for figure in ("precision-recall", "reliability", "confusion", "learning-curve"):
        assert (folder / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{figure}.png" in card
    telling = next(line for line in card.splitlines() if line.startswith("- `trade`"))
    assert re.search(r"\b(trade|tariff|export)", telling)


def test_figures_on_files_left_out_show_that_the_model_has_learned(folder: Path) -> None:
    report = json.loads((folder / "metrics.json").read_text())
    assert report["macro"]["f1"] > 0.6
    assert report["macro"]["ece"] < 0.1
    curve = [point["average_precision"] for point in report["learning_curve"]]
    assert curve[-1] > curve[0]


def test_the_manifest_says_what_the_model_is(
    model_store: ModelStore, folder: Path, paragraphs: Sequence[Paragraph]
) -> None:
    manifest = model_store.manifest(folder.name)
    assert manifest.topics == TOPICS
    assert manifest.paragraphs == len(paragraphs)
    assert set(manifest.files) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.*")
    } - {"manifest.json"}
    assert {"scikit-learn", "numpy", "python"} <= set(manifest.libraries)


def test_the_same_paragraphs_give_the_same_files_byte_for_byte(
    paragraphs: Sequence[Paragraph], model_store: ModelStore, tmp_path: Path
) -> None:
    # Another process with other hashes of strings and another number of cores.
    pickle = tmp_path / "paragraphs.pickle"
    joblib.dump(paragraphs, pickle)
    subprocess.run(
        [sys.executable, "-c", TRAIN_AGAIN, pickle, tmp_path / "models"],
        env=os.environ | {"PYTHONHASHSEED": "1234"},
        check=True,
    )
    again = ModelStore(tmp_path / "models")
    first = model_store.manifest(str(model_store.current()))
    assert again.manifest(str(again.current())).files == first.files
    assert again.current() == first.version


TRAIN_AGAIN = """
import sys, joblib
from pathlib import Path
from service.store import ModelStore
from training.train import train
train(
    joblib.load(sys.argv[1]), ModelStore(Path(sys.argv[2])),
    force=False, progress=lambda doing, done: None, jobs=1,
)
"""


def test_a_single_file_is_measured_by_paragraphs_and_the_card_says_so(
    paragraphs: Sequence[Paragraph], tmp_path: Path
) -> None:
    store = ModelStore(tmp_path)
    outcome = run([replace(found, file="mine") for found in paragraphs], store)
    card = (store.folder(outcome.manifest.version) / "card.md").read_text()
    assert not outcome.manifest.metrics["whole_files_left_out"]
    assert "Whole files are not left out" in card


def test_a_folder_that_cannot_be_written_is_told_before_training(
    paragraphs: Sequence[Paragraph], tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    doing: list[str] = []
    with pytest.raises(ModelError, match="models cannot be written"):
        train(
            paragraphs,
            ModelStore(tmp_path / "models"),
            force=False,
            progress=lambda step, _done: doing.append(step),
            jobs=2,
        )
    assert doing == []


def test_a_worse_model_is_kept_but_not_promoted_unless_forced(
    paragraphs: Sequence[Paragraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "learning_curve", lambda *_: [])
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    store = ModelStore(tmp_path)
    good = run(paragraphs, store)
    assert good.promoted
    assert good.loss is None

    few = [replace(found, text=" ".join(found.text.split()[:6])) for found in paragraphs]
    worse = run(few, store)
    assert not worse.promoted
    assert worse.loss is not None
    assert worse.loss > TOLERATED_LOSS
    assert store.current() == good.manifest.version
    assert {manifest.version for manifest in store.manifests()} == {
        good.manifest.version,
        worse.manifest.version,
    }

    forced = run(few, store, force=True)
    assert forced.promoted
    assert store.current() == worse.manifest.version


def test_the_fewest_paragraphs_of_each_kind_are_enough(
    paragraphs: Sequence[Paragraph], tmp_path: Path
) -> None:
    kinds = [*((topic,) for topic in TOPICS), ()]
    few = [
        found
        for kind in kinds
        for found in [one for one in paragraphs if one.topics == kind][:FEWEST]
    ]
    assert len(few) == FEWEST * len(kinds)
    assert run(few, ModelStore(tmp_path)).promoted


@pytest.mark.parametrize(
    ("lacks", "named"),
    [
        (lambda topics: "trade" in topics, r"trade \(0\)"),
        (lambda topics: not topics, r"no topic \(0\)"),
    ],
)
def test_too_few_paragraphs_of_a_kind_are_refused_before_anything_is_written(
    paragraphs: Sequence[Paragraph],
    lacks: Callable[[tuple[str, ...]], bool],
    named: str,
    tmp_path: Path,
) -> None:
    few = [found for found in paragraphs if not lacks(found.topics)]
    with pytest.raises(TrainingError, match=rf"at least {FEWEST} .*{named}"):
        run(few, ModelStore(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_without_the_vector_package_a_model_of_terms_alone_is_trained(
    paragraphs: Sequence[Paragraph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "VECTOR_PACKAGE", "no_such_package")
    monkeypatch.setattr(evaluate, "learning_curve", lambda *_: [])
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    outcome = run(paragraphs, ModelStore(tmp_path))
    assert not outcome.manifest.vectors
    [result] = Classifier.load(tmp_path).classify(["Troops shelled the town with artillery."])
    assert "defense" in result.topics
