import numpy as np
import pytest

from service.scorer import Arrays, Scorer


def lines(*strings: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer("\n".join(strings).encode(), dtype=np.uint8)


@pytest.fixture
def scorer() -> Scorer:
    """Two topics, two words, a pair, a prefix and two vectors."""
    return Scorer(
        Arrays(
            terms=lines("steel", "tariff", "steel tariff", "tari*"),
            n_terms=np.array([2, 1, 1]),
            idf=np.array([1, 2, 3, 4], dtype=np.float32),
            weights=np.array([[1, 0], [2, 1], [3, -1], [1, 1]], dtype=np.float32),
            vector_words=lines("tariff", "levy"),
            vectors=np.array([[3, 4], [6, 8]], dtype=np.float32),
            directions=np.array([[1, 0], [0, 1]], dtype=np.float32),
            bias=np.array([-1, 0.5], dtype=np.float32),
        )
    )


def test_a_text_without_a_known_word_gets_the_bias(scorer: Scorer) -> None:
    np.testing.assert_array_equal(scorer.logits([[], ["unknown"]]), [[-1, 0.5]] * 2)


def test_no_text_gives_no_row(scorer: Scorer) -> None:
    assert scorer.logits([]).shape == (0, 2)


def test_a_logit_is_the_sum_that_the_module_promises(scorer: Scorer) -> None:
    once = 1.0
    twice = 1 + np.log(2)
    length = np.hypot(twice * 1, once * 2)  # of "steel" and "tariff", by their idf
    words = twice * 1 * np.array([1, 0]) + once * 2 * np.array([2, 1])
    pair = once * 3 * np.array([3, -1])
    prefixes = 2 * 4 * np.array([1, 1])  # "tariff" and "tariffs"
    vector = np.array([3, 4]) / 5
    [logits] = scorer.logits([["steel", "tariff", "steel", "tariffs"]])
    bias = np.array([-1, 0.5])
    np.testing.assert_allclose(
        logits, bias + (words + pair + prefixes) / length + vector, rtol=1e-6
    )


def test_a_word_that_was_never_in_training_scores_by_its_vector(scorer: Scorer) -> None:
    [logits] = scorer.logits([["levy"]])
    np.testing.assert_allclose(logits, [-1 + 0.6, 0.5 + 0.8], rtol=1e-6)


def test_contributions_of_words_and_pairs_add_up(scorer: Scorer) -> None:
    words = ["steel", "tariff", "steel", "levy", "tariffs", "unknown"]
    shares = scorer.contributions(words)
    assert (shares.words.shape, shares.pairs.shape) == ((6, 2), (5, 2))
    total = scorer.bias + shares.words.sum(axis=0) + shares.pairs.sum(axis=0)
    np.testing.assert_allclose(total, scorer.logits([words])[0], rtol=1e-6)
    np.testing.assert_array_equal(shares.words[5], [0, 0])
    assert shares.pairs[0][0] > 0


def test_a_word_is_known_by_its_weight_or_its_vector(scorer: Scorer) -> None:
    assert scorer.count_known(["steel", "levy", "unknown", "levy"]) == 3
