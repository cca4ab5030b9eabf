"""Measures what each trick gains: ``python -m tests.bench.tricks > training/tricks.md``.

Fits the model on each fold with one thing taken away at a time, on the files left out as `make
evaluate` does it, and prints a Markdown table that the model card includes: what the whole model is
ahead by. F1 is the macro mean with the best threshold of each topic on those very files, which
flatters all rows alike. The last column is about paragraphs without a topic, at those thresholds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import GroupKFold
from sklearn.multiclass import OneVsRestClassifier

from training import corpus, evaluate
from training.features import vectors_installed
from training.fit import TopicsOrNone, best_thresholds, model
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
    change : callable
        Makes of the classifier of topics the one without the trick.
    """

    name: str
    without: str | None = None
    change: Callable[[TopicsOrNone], BaseEstimator] = lambda topics: topics


TRICKS = (
    Trick("pairs of words", without="pairs"),
    Trick("prefixes of four and six letters", without="prefixes"),
    Trick("how many states are named", without="states"),
    Trick("mean word vector", without="vectors"),
    Trick(
        "terms scaled by their naive Bayes ratio",
        change=lambda topics: topics.set_params(estimator__scale__power=0),
    ),
    Trick(
        "classes weighed alike",
        change=lambda topics: topics.set_params(estimator__regression__class_weight=None),
    ),
    Trick(
        "no topic likelier than that there is any",
        change=lambda topics: OneVsRestClassifier(topics.estimator),
    ),
)


def main() -> None:
    """Print the table."""
    paragraphs = corpus.read([corpus.SHIPPED]).paragraphs
    texts = np.array([paragraph.text for paragraph in paragraphs], dtype=object)
    labels = corpus.label_matrix(paragraphs).astype(int)
    groups = evaluate.groups_of(paragraphs)
    variants = (Trick("all"), *TRICKS)
    decisions = np.empty((len(variants), *labels.shape))
    folds = list(GroupKFold(evaluate.FOLDS).split(texts, labels, groups))
    found = joblib.Parallel(joblib.cpu_count())(
        joblib.delayed(_fold)(variants, texts, labels, train, test) for train, test in folds
    )
    for (_, test), fold in zip(folds, found, strict=True):
        decisions[:, test] = fold
    whole, *others = [_measures(labels, decision) for decision in decisions]
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
    variants: Sequence[Trick],
    texts: NDArray[np.object_],
    labels: NDArray[np.int_],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> list[NDArray[np.float64]]:
    features, topics = (step for _, step in model(vectors=vectors_installed()).estimator.steps)
    fitted, unseen = features.fit_transform(texts[train]), features.transform(texts[test])
    columns = _columns(features, fitted.shape[1])
    decisions = []
    for trick in variants:
        keep = np.ones(fitted.shape[1], dtype=bool)
        if trick.without:
            keep[columns[trick.without]] = False
        classifier = trick.change(clone(topics)).fit(csr_matrix(fitted)[:, keep], labels[train])
        decisions.append(classifier.decision_function(csr_matrix(unseen)[:, keep]))
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
    labels: NDArray[np.int_], decisions: NDArray[np.float64]
) -> tuple[float, float, float]:
    tags = decisions >= best_thresholds(labels, decisions)
    return (
        float(f1_score(labels, tags, average="macro")),
        float(average_precision_score(labels, decisions)),
        float(tags[~labels.any(axis=1)].any(axis=1).mean()),
    )


if __name__ == "__main__":
    main()
