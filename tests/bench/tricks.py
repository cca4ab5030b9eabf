"""Measures what each trick gains: ``python -m tests.bench.tricks > training/tricks.md``.

Trains without each fold as `make evaluate` does, with one thing taken away at a time, measures on
the fold and prints a Markdown table that the model card includes: what the whole model is ahead by.
F1 is the macro mean with thresholds that are chosen on those very files, which flatters all rows
alike. The last column is about paragraphs without a topic, at those thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.metrics import average_precision_score, f1_score

from training import corpus, evaluate
from training.features import vectors_installed
from training.fit import Calibration, TermRegression, TopicsOrNone, model
from training.terms import STATE_TERMS

Columns = dict[str, slice]  # of the feature matrix, by part


@dataclass(frozen=True)
class Trick:
    """Something that can be taken away from the model.

    Attributes
    ----------
    name : str
    without : str or None
        The part of the features that is left out.
    options : dict of str to object
        Parameters of `training.fit.TermRegression` without the trick.
    sentences : bool
        Whether sentences are learned from.
    capped : bool
        Whether each topic is capped by the score for any topic.
    """

    name: str
    without: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    sentences: bool = True
    capped: bool = True


TRICKS = (
    Trick("pairs of words", without="pairs"),
    Trick("prefixes of four and six letters", without="prefixes"),
    Trick("how many states are named", without="states"),
    Trick("mean word vector", without="vectors"),
    Trick("terms scaled by their naive Bayes ratio", options={"power": 0.0}),
    Trick("balanced class weights", options={"class_weight": None}),
    Trick("single sentences besides", sentences=False),
    Trick("a column of its own for each paragraph", options={"own": 0.0}),
    Trick("each topic capped by the score for any topic", capped=False),
)


def main() -> None:
    """Print the table."""
    paragraphs = corpus.read([corpus.SHIPPED]).paragraphs
    data = evaluate.Data.of(paragraphs)
    variants = (Trick("all"), *TRICKS)
    decisions = np.empty((len(variants), *data.labels.shape))
    folds = evaluate.folds_of(paragraphs)
    found = joblib.Parallel(joblib.cpu_count())(
        joblib.delayed(_fold)(variants, data.at(train), data.texts[test]) for train, test in folds
    )
    for (_, test), fold in zip(folds, found, strict=True):
        decisions[:, test] = fold
    whole, *others = [_measures(data.labels, decision) for decision in decisions]
    print(
        "| trick | F1 | average precision | tagged without a topic |\n| --- | ---: | ---: | ---: |"
    )
    for trick, without in zip(TRICKS, others, strict=True):
        f1, precision, tagged = np.subtract(whole, without)
        print(f"| {trick.name} | {f1:+.4f} | {precision:+.4f} | {tagged:+.2%} |")
    f1, precision, tagged = whole
    print(f"| all of them | {f1:.4f} | {precision:.4f} | {tagged:.2%} |")
    print(
        f"\n{len(paragraphs):,} paragraphs, corpus `{corpus.digest(paragraphs)[:12]}`, "
        f"{datetime.now(UTC).date()}."
    )


def _fold(
    variants: Sequence[Trick], train: evaluate.Data, unseen: NDArray[np.object_]
) -> list[NDArray[np.float64]]:
    steps = model(vectors=vectors_installed())
    matrix, labels, owners = steps.fit_features(*train)
    test = csr_matrix(steps["features"].transform(unseen))
    columns = _columns(steps["features"], matrix.shape[1])
    decisions = []
    for trick in variants:
        keep = np.ones(matrix.shape[1], dtype=bool)
        if trick.without:
            keep[columns[trick.without]] = False
        learned = slice(None if trick.sentences else len(train.texts))
        classifier = TopicsOrNone(TermRegression(**trick.options)).fit(
            matrix[learned][:, keep], labels[learned], owners[learned]
        )
        kept = test[:, keep]
        if trick.capped:
            decisions.append(classifier.decision_function(kept))
        else:
            own = [topic.decision_function(kept) for topic in classifier.topics_]
            decisions.append(np.column_stack(own))
    return decisions


def _columns(features: BaseEstimator, n_columns: int) -> Columns:
    terms = dict(features["parts"].transformer_list)["terms"]
    sizes = [len(part.idf_) for part in terms.parts_] + [len(STATE_TERMS)]
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends]
    names = ("words", "pairs", "prefixes", "states", "vectors")
    return {
        name: slice(start, end)
        for name, start, end in zip(names, starts, [*ends, n_columns], strict=True)
    }


def _measures(
    labels: evaluate.Labels, decisions: NDArray[np.float64]
) -> tuple[float, float, float]:
    calibration = Calibration().fit(decisions, labels)
    tags = expit(calibration.logits(decisions)) >= calibration.thresholds_
    return (
        float(f1_score(labels, tags, average="macro")),
        float(average_precision_score(labels, decisions)),
        float(tags[~labels.any(axis=1)].any(axis=1).mean()),
    )


if __name__ == "__main__":
    main()
