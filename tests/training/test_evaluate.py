from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from service.topics import TOPICS
from training.corpus import Paragraph, Sentence, Sentences
from training.evaluate import (
    FOLDS,
    LEARNING_SHARES,
    STEPS,
    Decided,
    HeldOut,
    compare,
    decide,
    expected_calibration_error,
    groups_of,
    held_out,
    learning_curve,
    metrics,
)
from training.figures import confusion


def paragraph(number: int, file: str, *topics: str) -> Paragraph:
    primary = topics[0] if topics else None
    return Paragraph(f"{file}-{number}", f"text {number}", topics, primary, file, None)


def test_a_perfectly_calibrated_bin_has_no_calibration_error() -> None:
    label = np.array([True, False, False, False])
    assert expected_calibration_error(label, np.full(4, 0.25)) == pytest.approx(0)


def test_calibration_error_weighs_bins_by_their_paragraphs() -> None:
    label = np.array([True, True, True, False])
    probability = np.array([0.95, 0.95, 0.95, 0.45])
    assert expected_calibration_error(label, probability) == pytest.approx((3 * 0.05 + 0.45) / 4)


def test_whole_files_are_kept_together_where_every_topic_and_none_is_in_enough_files() -> None:
    spread = [
        paragraph(n, f"file {n % (FOLDS + 1)}", *topics)
        for n, topics in enumerate(
            [("defense",), ("trade",), ("territorial-dispute",), ("diplomacy",), ()] * (FOLDS + 1)
        )
        for n in range(FOLDS + 1)
    ]
    assert groups_of(spread) == [found.file for found in spread]


def test_a_single_file_is_dealt_into_parts() -> None:
    groups = groups_of([paragraph(n, "mine", "trade") for n in range(100)])
    assert len(set(groups)) == FOLDS + 1


class _Remembering(BaseEstimator):  # type: ignore[misc]
    """Decides 1,000 where it knows the text's file or a sentence of it, else the text's number."""

    def fit(self, texts: Iterable[str], labels: object, sentences: Sentences) -> "_Remembering":
        self.seen_ = {text.split(":")[0] for text in (*texts, *sentences.texts)}
        return self

    def decision_function(self, texts: Iterable[str]) -> object:
        parts = [text.split(":") for text in texts]
        return np.array(
            [[1000.0 if file in self.seen_ else float(number)] * 4 for file, number in parts]
        )


NINE_FILES = [
    replace(
        paragraph(n, f"f{n % 9}", *TOPICS[n % 5 : n % 5 + 1]),
        text=f"f{n % 9}:{n}",
        sentences=(Sentence(f"f{n % 9}:sentence", ()),),
    )
    for n in range(450)
]


def silent(_doing: str, _done: int) -> None:
    pass


def test_no_paragraph_is_decided_on_by_a_model_that_has_seen_its_file() -> None:
    decided = decide(_Remembering(), NINE_FILES, silent, jobs=1)
    numbers = np.arange(len(NINE_FILES))
    np.testing.assert_array_equal(decided.decisions, np.repeat(numbers[:, None], 4, axis=1))
    np.testing.assert_array_equal(np.sort(np.concatenate(decided.folds)), numbers)


class _Counting(_Remembering):
    """Decides 1 on the texts that carry a topic, with more texts that it knows for more topics."""

    def fit(self, texts: Iterable[str], labels: object, sentences: Sentences) -> "_Counting":
        super().fit(texts, labels, sentences)
        self.known_ = min(4, len(list(texts)) // 80)
        return self

    def decision_function(self, texts: Iterable[str]) -> object:
        parts = [text.split(":") for text in texts]
        assert not {file for file, _ in parts} & self.seen_
        carried = [[int(number) % 5 == topic for topic in range(4)] for _, number in parts]
        return np.array(carried, dtype=float) * (np.arange(4) < self.known_)


def test_the_learning_curve_rises_with_what_is_learned_outside_the_fold() -> None:
    decided = decide(_Counting(), NINE_FILES, silent, jobs=1)
    points = learning_curve(_Counting(), NINE_FILES, decided, silent, jobs=1)
    assert len(points) == len(LEARNING_SHARES)
    precisions = [point["average_precision"] for point in points]
    assert precisions == sorted(precisions)
    assert precisions[0] < precisions[-1] == 1
    assert points[0]["paragraphs"] == pytest.approx(points[-1]["paragraphs"] / 8, abs=1)


def test_a_small_corpus_has_a_short_learning_curve() -> None:
    few = NINE_FILES[:100]  # 20 of each class
    decided = decide(_Counting(), few, silent, jobs=1)
    done = 0

    def count(_doing: str, more: int) -> None:
        nonlocal done
        done += more

    points = learning_curve(_Counting(), few, decided, count, jobs=1)
    assert len(points) == 2
    assert done == STEPS - FOLDS


def test_a_fold_is_calibrated_without_its_own_labels() -> None:
    random = np.random.default_rng(0)
    labels = random.random((400, 4)) < 0.5
    paragraphs = [
        paragraph(n, "a", *(topic for topic, carried in zip(TOPICS, row, strict=True) if carried))
        for n, row in enumerate(labels)
    ]
    # Decisions are right in one fold and the wrong way round in the other.
    folds = [np.arange(200), np.arange(200, 400)]
    decisions = np.where(labels, 1.0, -1.0) + random.normal(scale=0.5, size=labels.shape)
    decisions[folds[1]] *= -1
    result = held_out(paragraphs, Decided(decisions, folds))
    carried, not_carried = result.probabilities[labels], result.probabilities[~labels]
    assert carried.mean() < 0.2
    assert not_carried.mean() > 0.8
    assert (result.predicted != labels).mean() > 0.8


def test_measures_are_those_of_the_tags() -> None:
    paragraphs = [
        paragraph(1, "a", "trade", "diplomacy"),
        paragraph(2, "a", "trade"),
        paragraph(3, "b"),
        paragraph(4, "b", "diplomacy"),
    ]
    #                         defense, trade, territorial-dispute, diplomacy
    probabilities = np.array([[0, 0.9, 0, 0.4], [0, 0.8, 0, 0], [0, 0.6, 0, 0], [0, 0, 0, 0.7]])
    report = metrics(compare(paragraphs, probabilities, probabilities > 0.5))
    assert report["topics"]["trade"]["precision"] == pytest.approx(2 / 3)
    assert report["topics"]["trade"]["recall"] == 1
    assert report["topics"]["trade"]["average_precision"] == 1
    assert report["topics"]["trade"]["support"] == 2
    assert report["topics"]["trade"]["brier"] == pytest.approx((0.01 + 0.04 + 0.36) / 4)
    assert report["topics"]["diplomacy"]["recall"] == 0.5
    assert report["topics"]["defense"]["f1"] is None
    assert report["micro"]["precision"] == pytest.approx(3 / 4)
    assert report["micro"]["recall"] == pytest.approx(3 / 4)
    assert report["macro"]["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert report["any_topic"]["precision"] == pytest.approx(3 / 4)
    assert report["no_topic"] == {"support": 1, "tagged": 1}
    assert report["files"]["a"]["no_topic"] == {"support": 0, "tagged": None}
    assert report["primary_accuracy"] == 1
    assert report["files"]["b"]["micro"]["precision"] == 0.5
    assert report["files"]["a"]["paragraphs"] == 2


def test_confusion_counts_wrong_tags_beside_right_ones() -> None:
    labels = np.array([[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    predicted = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=bool)
    empty = np.empty((3, 4))
    shares = confusion(HeldOut(labels, empty, predicted, np.zeros(3, int), np.array(["f"] * 3)))
    np.testing.assert_allclose(shares[0], [0.5, 0.5, 0, 0, 0.5])  # defense
    np.testing.assert_allclose(shares[3], [0, 1, 0, 1, 0])  # diplomacy
    np.testing.assert_allclose(shares[4], [0, 0, 0, 1, 0])  # none
