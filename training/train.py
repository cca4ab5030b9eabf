"""The training run: reads, evaluates, fits, saves and promotes."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from service.errors import GeotopicsError
from service.store import Manifest, ModelStore
from service.topics import TOPICS
from training import corpus, evaluate, figures
from training.card import write_card
from training.corpus import Paragraph
from training.export import compile_tables
from training.features import vectors_installed
from training.fit import CalibratedTopics, model

TOLERATED_LOSS = 0.01  # of macro-F1 on the shipped files, before a model is not promoted
FEWEST = 20  # paragraphs of each topic, and without any; fewer leave a fold with none
LIBRARIES = ("joblib", "numpy", "scikit-learn", "scipy")

STEPS = evaluate.STEPS + 2  # of progress, in all


class TrainingError(GeotopicsError):
    """The paragraphs are readable, but no model can be trained on them."""


@dataclass(frozen=True)
class Outcome:
    """How a training run ended.

    Attributes
    ----------
    manifest : Manifest
        Of the saved model.
    promoted : bool
        Whether it became the current one.
    loss : float or None
        How far its macro-F1 on the shipped files is below the current model's; None where there
        was no model to compare with.
    """

    manifest: Manifest
    promoted: bool
    loss: float | None


def train(
    paragraphs: Sequence[Paragraph],
    store: ModelStore,
    *,
    force: bool,
    progress: evaluate.Progress,
    jobs: int,
) -> Outcome:
    """Train a model and make it current, unless it is clearly worse than the current one.

    Parameters
    ----------
    paragraphs : sequence of Paragraph
        Everything to train on.
    store : ModelStore
        Where to save.
    force : bool
        Make it current even if it is worse.
    progress : callable
        Called with what is being done and the number of steps done since, `STEPS` in all.
    jobs : int
        Number of processes.

    Returns
    -------
    Outcome

    Raises
    ------
    TrainingError
        Too few paragraphs carry a topic, or none.
    ModelError
        The model could not be written; the current one is untouched.
    """
    _check(paragraphs)
    store.check_writable()
    vectors = vectors_installed()
    unfitted = model(vectors=vectors)
    decided = evaluate.decide(unfitted, paragraphs, progress, jobs)
    result = evaluate.held_out(paragraphs, decided)
    report = evaluate.metrics(result)
    report["whole_files_left_out"] = evaluate.leaves_files_out(paragraphs)
    report["learning_curve"] = evaluate.learning_curve(
        unfitted, paragraphs, decided, progress, jobs
    )
    progress("fitting the model", 0)
    # One thread, so that sums are added in the same order on every machine.
    with threadpool_limits(1):
        fitted = CalibratedTopics(unfitted).fit(*evaluate.Data.of(paragraphs), decided.decisions)
    progress("saving the model", 1)
    report["shipped_macro_f1"] = _shipped_macro_f1(fitted, result, paragraphs)
    tables = compile_tables(fitted)._asdict()
    thresholds = dict(zip(TOPICS, fitted.calibration_.thresholds_.tolist(), strict=True))
    card = write_card(report, fitted, paragraphs)

    def write_for_people(folder: Path) -> None:
        joblib.dump(fitted, folder / "pipeline.joblib")
        (folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        (folder / "card.md").write_text(card, "utf-8")
        (folder / "figures").mkdir()
        figures.draw(result, report["learning_curve"], folder / "figures")

    manifest = store.save(
        tables,
        {
            "topics": TOPICS,
            "thresholds": thresholds,
            "vectors": vectors,
            "paragraphs": len(paragraphs),
            "corpus_digest": corpus.digest(paragraphs),
            "libraries": {"python": platform.python_version()}
            | {library: version(library) for library in LIBRARIES},
            "metrics": {name: report[name] for name in report if name != "files"},
        },
        write_for_people,
    )
    progress("done", 1)
    return _promote(store, manifest, force=force)


def _check(paragraphs: Sequence[Paragraph]) -> None:
    labels = corpus.label_matrix(paragraphs)
    counts = dict(zip(TOPICS, labels.sum(axis=0).tolist(), strict=True))
    counts["no topic"] = int((~labels.any(axis=1)).sum())
    lacking = [f"{topic} ({count})" for topic, count in counts.items() if count < FEWEST]
    if lacking:
        raise TrainingError(
            f"at least {FEWEST} paragraphs are needed of each topic, and as many that carry none; "
            f"too few: {', '.join(lacking)}. Leave out ONLY=1 (--only) to train on the shipped "
            "paragraphs as well"
        )


def _shipped_macro_f1(
    fitted: CalibratedTopics, result: evaluate.HeldOut, paragraphs: Sequence[Paragraph]
) -> float:
    """Macro-F1 on the shipped files, each scored by a model that has not seen it."""
    shipped = corpus.read([corpus.SHIPPED]).paragraphs
    row_of: dict[str, int] = {}
    for row, paragraph in enumerate(paragraphs):
        row_of.setdefault(paragraph.text, row)
    probabilities = np.empty((len(shipped), len(TOPICS)))
    predicted = np.empty(probabilities.shape, dtype=bool)
    seen = np.array([paragraph.text in row_of for paragraph in shipped])
    rows = [row_of[paragraph.text] for paragraph in shipped if paragraph.text in row_of]
    probabilities[seen], predicted[seen] = result.probabilities[rows], result.predicted[rows]
    if not seen.all():
        unseen = [paragraph.text for paragraph in shipped if paragraph.text not in row_of]
        probabilities[~seen] = fitted.predict_proba(unseen)
        predicted[~seen] = probabilities[~seen] >= fitted.calibration_.thresholds_
    return float(
        evaluate.metrics(evaluate.compare(shipped, probabilities, predicted))["macro"]["f1"]
    )


def _promote(store: ModelStore, manifest: Manifest, *, force: bool) -> Outcome:
    try:
        current = store.current()
        earlier = store.manifest(current).metrics["shipped_macro_f1"] if current else None
    except (GeotopicsError, KeyError):
        earlier = None
    loss = None if earlier is None else earlier - manifest.metrics["shipped_macro_f1"]
    promoted = force or loss is None or loss <= TOLERATED_LOSS
    if promoted:
        store.promote(manifest.version)
    return Outcome(manifest, promoted, loss)
