import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit

from training.corpus import Sentences
from training.fit import (
    FEED_SHARES,
    Calibration,
    TermRegression,
    TopicsOrNone,
    best_thresholds,
    model,
)

# Three features: one of the first topic, one of the second, and one of neither.
FEATURES = csr_matrix(
    np.repeat([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], 5, axis=0), dtype=float
)
LABELS = np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], 5, axis=0).astype(bool)


@pytest.fixture(scope="module")
def fitted() -> TopicsOrNone:
    return TopicsOrNone(TermRegression()).fit(FEATURES, LABELS, np.arange(len(LABELS)))


def test_topics_are_told_apart(fitted: TopicsOrNone) -> None:
    np.testing.assert_array_equal(fitted.decision_function(FEATURES) > 0, LABELS)


def test_no_topic_is_likelier_than_that_there_is_any(fitted: TopicsOrNone) -> None:
    strange = csr_matrix([[5.0, 0, 0], [5, 0, 10], [0, 0, 5]])
    decisions = fitted.decision_function(strange)
    any_topic = fitted.any_topic_.decision_function(strange)
    assert (decisions <= any_topic[:, None]).all()
    own = np.column_stack([topic.decision_function(strange) for topic in fitted.topics_])
    assert ((decisions == own) | (decisions == any_topic[:, None])).all()
    assert own[1, 0] > 0 > decisions[1, 0]


def test_what_one_paragraph_repeats_weighs_less_than_what_many_paragraphs_say() -> None:
    # The first term is in ten paragraphs, the second in one and in its sentences.
    rows = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    features = csr_matrix(np.repeat(rows, [10, 20, 31], axis=0))
    labels = np.repeat([True, False, True], [10, 20, 31])
    paragraphs = np.array([*range(30), *[30] * 31])
    with_own, without = (
        TermRegression(own=own).fit(features, labels, paragraphs).coef_ for own in (2.0, 0.0)
    )
    assert with_own.shape == without.shape == (3,)
    many, one, _ = with_own / without
    assert one < 0.8 * many < many <= 1


def test_a_sentence_weighs_less_than_a_paragraph() -> None:
    rows = np.array([[1.0, 0], [0, 1]])
    # The same texts, of which the last ten are paragraphs or sentences of the first ones.
    features = csr_matrix(np.concatenate([np.repeat(rows, 10, axis=0), np.repeat(rows, 5, axis=0)]))
    labels = np.concatenate([np.repeat([True, False], 10), np.repeat([True, False], 5)])
    owners = np.concatenate([np.arange(20), np.arange(5, 15)])
    as_paragraphs, as_sentences = (
        TermRegression(own=0.0).fit(features, labels, numbers).coef_[0]
        for numbers in (np.arange(30), owners)
    )
    assert 0 < as_sentences < as_paragraphs


def test_a_sentence_teaches_which_part_of_its_paragraph_carries_the_topic() -> None:
    texts = [f"Soldiers fired on the {name} and bakers sold bread." for name in "abcdefghij"]
    texts += [f"Children read about the {name} all day." for name in "abcdefghij"]
    labels = np.zeros((20, 2), dtype=bool)
    labels[:10] = True
    nothing = Sentences(np.array([], dtype=object), np.empty((0, 2), bool), np.array([], int))
    bread = Sentences(
        np.array(["bakers sold bread."] * 10, dtype=object),
        np.zeros((10, 2), dtype=bool),
        np.arange(10),
    )
    before, after = (
        model(vectors=False).fit(texts, labels, sentences).decision_function(["Bakers sold bread."])
        for sentences in (nothing, bread)
    )
    assert (after < before).all()


def test_probabilities_are_those_that_labels_have() -> None:
    random = np.random.default_rng(0)
    decisions = random.normal(scale=3, size=(20_000, 4))
    labels = random.random(decisions.shape) < expit(0.5 * decisions - 1)
    calibration = Calibration().fit(decisions, labels)
    np.testing.assert_allclose(calibration.slopes_, 0.5, atol=0.03)
    np.testing.assert_allclose(calibration.intercepts_, -1, atol=0.06)


def test_the_last_digits_of_decisions_do_not_show_in_a_calibration() -> None:
    random = np.random.default_rng(0)
    decisions = random.normal(scale=3, size=(2_000, 4))
    labels = random.random(decisions.shape) < expit(0.5 * decisions - 1)
    here, elsewhere = (Calibration().fit(decisions * scale, labels) for scale in (1, 1 + 1e-13))
    assert (here.slopes_ == elsewhere.slopes_).all()
    assert (here.intercepts_ == elsewhere.intercepts_).all()


def test_a_threshold_has_the_highest_f1_among_texts_of_a_feed() -> None:
    random = np.random.default_rng(0)
    # Every other paragraph carries each topic, more than of a feed.
    decisions = random.normal(scale=3, size=(100_000, 4))
    labels = random.random(decisions.shape) < expit(decisions)
    thresholds = best_thresholds(expit(decisions), labels)
    for topic, share in enumerate(FEED_SHARES):
        label = labels[:, topic]
        weight = np.where(label, share / label.mean(), (1 - share) / (1 - label.mean()))

        def f1(threshold: float, topic: int = topic, weight: object = weight) -> float:
            tagged = expit(decisions[:, topic]) >= threshold
            hits = (weight * (tagged & labels[:, topic])).sum()
            return float(2 * hits / ((weight * tagged).sum() + (weight * labels[:, topic]).sum()))

        best = max(f1(threshold) for threshold in np.linspace(0.05, 0.95, 91))
        assert f1(thresholds[topic]) == pytest.approx(best, abs=0.005)
        assert f1(0.5) < best - 0.005
