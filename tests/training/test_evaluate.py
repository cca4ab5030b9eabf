from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from training.corpus import Paragraph
from training.evaluate import (
    FOLDS,
    HeldOut,
    compare,
    expected_calibration_error,
    groups_of,
    held_out,
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


class _Remembering(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Gives every file that it was trained on probability 1, and 0 to what is new to it."""

    def fit(self, texts: object, labels: object, groups: object) -> "_Remembering":
        self.seen_ = set(np.asarray(groups))
        self.texts_ = set(np.asarray(texts))
        self.thresholds_ = np.full(4, 0.5)
        return self

    def predict_proba(self, texts: np.ndarray[tuple[int], np.dtype[np.object_]]) -> object:
        files = [text.split(":")[0] for text in texts]
        return np.array([[float(file in self.seen_)] * 4 for file in files])


def test_no_paragraph_is_scored_by_a_model_that_has_seen_its_file() -> None:
    topics = ("defense", "trade", "territorial-dispute", "diplomacy")
    paragraphs = [
        replace(paragraph(n, f"f{n % 9}", topics[n % 4]), text=f"f{n % 9}:{n}") for n in range(144)
    ]
    result = held_out(_Remembering(), paragraphs, lambda _doing, _done: None, jobs=1)
    assert not result.predicted.any()


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
