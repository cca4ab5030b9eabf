"""Measures a model on files that it has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_fscore_support,
)
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from service.topics import TOPICS
from training.corpus import Paragraph, Sentences, label_matrix, sentences
from training.fit import Calibration

FOLDS = 7
LEARNING_SHARES = (0.125, 0.25, 0.5, 1.0)  # of the paragraphs outside a fold; the last are all
LEARNING_FEWEST = 10  # paragraphs of each class in a share that is drawn; of fewer it may get none
LEARNING_FOLDS = 3  # the curve is read for its slope, three folds show it
CALIBRATION_BINS = 10
STEPS = FOLDS + LEARNING_FOLDS * (len(LEARNING_SHARES) - 1)  # of progress, in all

_SCORING = "scoring held-out folds"
_LEARNING = "learning curve"

Progress = Callable[[str, int], None]  # gets what is being done, and how many steps are done
Labels = NDArray[np.bool_]
Probabilities = NDArray[np.float64]


class Data(NamedTuple):
    """What an estimator is fitted to.

    Attributes
    ----------
    texts : ndarray of str objects, shape (n_paragraphs,)
    labels : ndarray of bool, shape (n_paragraphs, n_topics)
    sentences : Sentences
    """

    texts: NDArray[np.object_]
    labels: Labels
    sentences: Sentences

    @classmethod
    def of(cls, paragraphs: Sequence[Paragraph]) -> Self:
        """Take texts, labels and sentences of paragraphs."""
        texts = np.array([paragraph.text for paragraph in paragraphs], dtype=object)
        return cls(texts, label_matrix(paragraphs), sentences(paragraphs))

    def at(self, rows: NDArray[np.intp]) -> "Data":
        """Take some of the paragraphs, given by their rows."""
        return Data(self.texts[rows], self.labels[rows], self.sentences.at(rows))


class Decided(NamedTuple):
    """What models that have not seen a paragraph's file decide on it.

    Attributes
    ----------
    decisions : ndarray of shape (n_paragraphs, n_topics)
    folds : list of ndarray of int
        Rows of the paragraphs that were left out together.
    """

    decisions: NDArray[np.float64]
    folds: list[NDArray[np.intp]]


@dataclass(frozen=True)
class HeldOut:
    """What models that have not seen a paragraph's file say of it.

    Attributes
    ----------
    labels : ndarray of bool, shape (n_paragraphs, n_topics)
        What the corpus says.
    probabilities : ndarray of shape (n_paragraphs, n_topics)
    predicted : ndarray of bool, shape (n_paragraphs, n_topics)
        Probabilities that reach the thresholds, which were chosen without the paragraph's label.
    primary : ndarray of int, shape (n_paragraphs,)
        Column of the primary topic, -1 for none.
    files : ndarray of str, shape (n_paragraphs,)
    """

    labels: Labels
    probabilities: Probabilities
    predicted: Labels
    primary: NDArray[np.int_]
    files: NDArray[np.str_]

    def of(self, chosen: Labels) -> "HeldOut":
        """Restrict to some of the paragraphs."""
        return HeldOut(
            self.labels[chosen],
            self.probabilities[chosen],
            self.predicted[chosen],
            self.primary[chosen],
            self.files[chosen],
        )


def groups_of(paragraphs: Sequence[Paragraph]) -> list[str]:
    """Say which paragraphs must not be parted between training and test.

    Files are themes and hands, so a model meets text of a new kind where whole files are left out.
    Where that cannot be done, see `leaves_files_out`, every n-th paragraph makes a group, which
    flatters the figures. A text that stands twice is kept together.

    Parameters
    ----------
    paragraphs : sequence of Paragraph

    Returns
    -------
    list of str
        Group of each paragraph.
    """
    if leaves_files_out(paragraphs):
        names = [paragraph.file for paragraph in paragraphs]
    else:
        names = [f"part {row % (FOLDS + 1) + 1}" for row in range(len(paragraphs))]
    first: dict[str, str] = {}
    return [
        first.setdefault(paragraph.text, name)
        for paragraph, name in zip(paragraphs, names, strict=True)
    ]


def leaves_files_out(paragraphs: Sequence[Paragraph]) -> bool:
    """Tell whether every topic, and none, is in more files than there are folds.

    Only then can whole files be left out without a class that is left with no paragraph.
    """
    files = np.array([paragraph.file for paragraph in paragraphs])
    labels = label_matrix(paragraphs)
    classes = [*labels.T, ~labels.any(axis=1)]
    return all(len(set(files[members])) > FOLDS for members in classes)


def folds_of(
    paragraphs: Sequence[Paragraph],
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Deal paragraphs into folds by their groups; rows to train on and rows to test on of each."""
    return list(GroupKFold(FOLDS).split(paragraphs, groups=groups_of(paragraphs)))


def decide(
    estimator: BaseEstimator, paragraphs: Sequence[Paragraph], progress: Progress, jobs: int
) -> Decided:
    """Decide on every paragraph by a model that has not seen its file.

    Parameters
    ----------
    estimator : estimator
        Unfitted and uncalibrated, of the kind that `training.fit.model` builds.
    paragraphs : sequence of Paragraph
    progress : callable
        Called with what is being done and the number of folds done since.
    jobs : int
        Number of processes.

    Returns
    -------
    Decided
    """
    data = Data.of(paragraphs)
    splits = folds_of(paragraphs)
    decisions = np.empty(data.labels.shape)
    progress(_SCORING, 0)
    done = Parallel(jobs, return_as="generator")(
        delayed(_decide)(estimator, data.at(train), data.texts[test]) for train, test in splits
    )
    for (_, test), decided in zip(splits, done, strict=True):
        decisions[test] = decided
        progress(_SCORING, 1)
    return Decided(decisions, [test for _, test in splits])


def held_out(paragraphs: Sequence[Paragraph], decided: Decided) -> HeldOut:
    """Turn decisions into probabilities and tags by calibrations that have not seen the labels.

    Each fold is calibrated, and its thresholds are chosen, on the decisions on all others. Those
    are by models that have learned from the fold, which folds within folds would avoid in five
    times the time; such folds, where they were tried, did not give lower figures.

    Parameters
    ----------
    paragraphs : sequence of Paragraph
    decided : Decided
        What `decide` returned for them.

    Returns
    -------
    HeldOut
    """
    labels = label_matrix(paragraphs)
    probabilities = np.empty(labels.shape)
    predicted = np.empty(labels.shape, dtype=bool)
    for fold in decided.folds:
        others = np.ones(len(labels), dtype=bool)
        others[fold] = False
        calibration = Calibration().fit(decided.decisions[others], labels[others])
        probabilities[fold] = expit(calibration.logits(decided.decisions[fold]))
        predicted[fold] = probabilities[fold] >= calibration.thresholds_
    return compare(paragraphs, probabilities, predicted)


def compare(
    paragraphs: Sequence[Paragraph], probabilities: Probabilities, predicted: Labels
) -> HeldOut:
    """Put what a model says beside what the corpus says.

    Parameters
    ----------
    paragraphs : sequence of Paragraph
        None of which the model has seen.
    probabilities : ndarray of shape (n_paragraphs, n_topics)
    predicted : ndarray of bool, shape (n_paragraphs, n_topics)

    Returns
    -------
    HeldOut
    """
    return HeldOut(
        label_matrix(paragraphs),
        probabilities,
        predicted,
        np.array([_column(paragraph.primary) for paragraph in paragraphs]),
        np.array([paragraph.file for paragraph in paragraphs]),
    )


def learning_curve(
    estimator: BaseEstimator,
    paragraphs: Sequence[Paragraph],
    decided: Decided,
    progress: Progress,
    jobs: int,
) -> list[dict[str, float]]:
    """Measure how accuracy grows with the number of paragraphs.

    Parameters
    ----------
    estimator : estimator
        Unfitted and uncalibrated; average precision needs no calibration.
    paragraphs : sequence of Paragraph
    decided : Decided
        What `decide` returned for the two: the end of the curve.
    progress : callable
        Called with what is being done and the number of fits done since.
    jobs : int
        Number of processes.

    Returns
    -------
    list of dict
        Mean number of ``paragraphs`` and macro ``average_precision``, smallest number first. A
        small corpus has fewer points.
    """
    data = Data.of(paragraphs)
    everything = np.arange(len(data.texts))
    random = np.random.default_rng(0)
    tasks = []
    classes = [*data.labels.T, ~data.labels.any(axis=1)]
    rarest = min(int(members.sum()) for members in classes)
    shares = [share for share in LEARNING_SHARES[:-1] if share * rarest >= LEARNING_FEWEST]
    for share in shares:
        for fold in decided.folds[:LEARNING_FOLDS]:
            others = random.permutation(np.setdiff1d(everything, fold))
            tasks.append((share, others[: int(share * len(others))], fold))
    points: dict[float, list[tuple[int, float]]] = {
        share: [] for share in (*shares, LEARNING_SHARES[-1])
    }
    progress(_LEARNING, LEARNING_FOLDS * (len(LEARNING_SHARES) - len(points)))
    done = Parallel(jobs, return_as="generator")(
        delayed(_decide)(estimator, data.at(train), data.texts[test]) for _, train, test in tasks
    )
    for (share, train, test), decisions in zip(tasks, done, strict=True):
        precision = average_precision_score(data.labels[test], decisions)
        points[share].append((len(train), precision))
        progress(_LEARNING, 1)
    for fold in decided.folds[:LEARNING_FOLDS]:
        precision = average_precision_score(data.labels[fold], decided.decisions[fold])
        points[LEARNING_SHARES[-1]].append((len(everything) - len(fold), precision))
    means = [np.mean(point, axis=0) for point in points.values()]
    return [{"paragraphs": float(size), "average_precision": float(ap)} for size, ap in means]


def metrics(result: HeldOut) -> dict[str, Any]:
    """Compute every reported measure.

    Parameters
    ----------
    result : HeldOut

    Returns
    -------
    dict
        ``topics``, ``micro``, ``macro``, ``any_topic``, ``no_topic`` (how many paragraphs carry
        none, and what share of these is ``tagged`` all the same), ``primary_accuracy``,
        ``paragraphs``, and ``files`` with the same for each file. A measure that is not defined,
        such as the recall of a topic that no paragraph carries, is None.
    """
    report = _metrics(result)
    report["files"] = {
        str(file): _metrics(result.of(result.files == file)) for file in sorted(set(result.files))
    }
    return report


def expected_calibration_error(
    label: NDArray[np.bool_], probability: NDArray[np.float64], bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance between predicted probability and observed frequency, over bins.

    Parameters
    ----------
    label : ndarray of bool, shape (n_paragraphs,)
    probability : ndarray of shape (n_paragraphs,)
    bins : int, default=10
        Number of bins of equal width.

    Returns
    -------
    float
        In [0, 1]; bins are weighted by the paragraphs in them.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
    AAAI 2015.
    """
    gaps = np.bincount(bin_of(probability, bins), weights=probability - label, minlength=bins)
    return float(np.abs(gaps).sum() / len(label))


def bin_of(probability: Probabilities, bins: int = CALIBRATION_BINS) -> NDArray[np.int_]:
    """Deal probabilities into bins of equal width, numbered from 0."""
    return np.asarray(np.minimum((probability * bins).astype(int), bins - 1))


def _decide(
    estimator: BaseEstimator, train: Data, texts: NDArray[np.object_]
) -> NDArray[np.float64]:
    with threadpool_limits(1):
        return np.asarray(clone(estimator).fit(*train).decision_function(texts))


def _metrics(result: HeldOut) -> dict[str, Any]:
    labels, predicted = result.labels, result.predicted
    columns = zip(TOPICS, labels.T, predicted.T, result.probabilities.T, strict=True)
    topics = {
        topic: _binary(label, chosen) | _probabilistic(label, probability)
        for topic, label, chosen, probability in columns
    }
    averaged = [name for name in topics[TOPICS[0]] if name != "support"]
    none = ~labels.any(axis=1)
    carries = result.primary >= 0
    best = np.where(predicted, result.probabilities, -1).argmax(axis=1)
    primary = np.where(predicted.any(axis=1), best, -1)
    return {
        "paragraphs": len(labels),
        "topics": topics,
        "micro": _binary(labels.ravel(), predicted.ravel()),
        "macro": {name: _mean([scores[name] for scores in topics.values()]) for name in averaged},
        "any_topic": _binary(np.any(labels, axis=1), np.any(predicted, axis=1)),
        "no_topic": {
            "support": int(none.sum()),
            "tagged": float(predicted[none].any(axis=1).mean()) if none.any() else None,
        },
        "primary_accuracy": (
            float((primary == result.primary)[carries].mean()) if carries.any() else None
        ),
    }


def _binary(label: Labels, predicted: Labels) -> dict[str, float | int | None]:
    precision, recall, f1, _ = precision_recall_fscore_support(
        label, predicted, average="binary", zero_division=np.nan
    )
    return {
        "precision": _defined(precision),
        "recall": _defined(recall),
        "f1": _defined(f1 if label.any() else np.nan),
        "support": int(label.sum()),
    }


def _probabilistic(label: Labels, probability: Probabilities) -> dict[str, float | None]:
    return {
        "average_precision": (
            float(average_precision_score(label, probability)) if label.any() else None
        ),
        "brier": float(brier_score_loss(label, probability)),
        "ece": expected_calibration_error(label, probability),
    }


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _column(topic: str | None) -> int:
    return -1 if topic is None else TOPICS.index(topic)
