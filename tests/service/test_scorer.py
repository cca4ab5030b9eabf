from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from service import machine
from service.errors import ModelError
from service.scorer import Scorer
from service.tables import N_DIMENSIONS, NUMBER, VECTOR_BITS, Floats, Tables
from training.export import filter_of, table


def columns(values: ArrayLike) -> Floats:
    """Give the last two topics, which these tests do without, a column of zeros each."""
    return np.insert(np.array(values, dtype=np.float32), [2, 2], 0, axis=1)


def padded(values: ArrayLike, kind: type) -> NDArray[Any]:
    numbers: NDArray[Any] = np.array(values, dtype=kind)
    return np.pad(numbers, ((0, 0), (0, N_DIMENSIONS - numbers.shape[1])))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """Two topics, some words, a pair, a prefix, three vectors and two states with three names."""
    words: dict[str, tuple[list[float], int, int, int]] = {
        # weights, squared idf, state, vector counted from 1
        "steel": ([1, 0, 0], 1, 0, 0),
        "tariff": ([8, 6, 11], 4, 0, 1),
        "levy": ([0, 0, 0], 0, 0, 2),
        "00": ([0, 3, 1], 1, 0, 3),
        "iran": ([0, 0, 0], 0, 7, 0),
        "tehran": ([0, 0, 0], 0, 7, 0),
        "oman": ([0, 0, 0], 0, 8, 0),
        "cup": ([2, 1, -1000], 1, 0, 0),
    }
    weights = [values[0] for values in words.values()]
    squares = [square for _, square, _, _ in words.values()]
    numbers = [state << VECTOR_BITS | vector for _, _, state, vector in words.values()]
    pairs = table(["steel tariff"], columns([[9, -3, 1]]))
    return Scorer(
        Tables(
            words=table([*words], columns(weights), squares, numbers),
            pairs=pairs,
            prefixes=table(["tari"], columns([[4, 4, 6]])),
            pair_filter=filter_of(pairs),
            state_weights=columns([[10, 1, 5], [20, 2, 5], [40, 4, 5], [80, 8, 5]]),
            vectors=padded([[3, 4], [6, 8], [4, 3]], np.int8),
            directions=padded(columns([[1, 0, 0], [0, 1, 0]]).T, np.float32),
            bias=columns([[-1, 0.5, 0.25]])[0],
            caps=columns([[0.5, 2.0], [100.0, 100.0]]),
        )._asdict()
    )


def test_a_text_without_a_known_word_gets_the_bias(scorer: Scorer) -> None:
    scores = scorer.score(["", "unknown", "!?"])
    np.testing.assert_array_equal(scores.logits[:, :2], [[-1, 0.5]] * 3)
    np.testing.assert_array_equal(scores.coverage, [0, 0, 0])


def test_no_text_gives_no_row(scorer: Scorer) -> None:
    assert scorer.score([]).logits.shape == (0, 4)


def test_a_logit_is_the_sum_that_the_module_promises(scorer: Scorer) -> None:
    length = np.sqrt(1 + 4 + 1)  # of "steel", "tariff" and "steel", by their idf
    words = 2 * np.array([1, 0]) + np.array([8, 6])
    pair = np.array([9, -3])
    prefixes = np.array([4, 4])  # of "tariffs", which is not known
    vector = np.array([3, 4]) / 5
    [logits] = scorer.score(["Steel tariff: STEEL, tariffs"]).logits[:, :2]
    bias = np.array([-1, 0.5])
    np.testing.assert_allclose(
        logits, bias + (words + pair + prefixes) / length + vector, rtol=1e-6
    )


def test_a_word_that_was_never_in_training_scores_by_its_vector(scorer: Scorer) -> None:
    [logits] = scorer.score(["levy"]).logits[:, :2]
    np.testing.assert_allclose(logits, [-1 + 0.6, 0.5 + 0.8], rtol=1e-6)


def test_no_topic_is_likelier_than_any_and_the_words_say_so(scorer: Scorer) -> None:
    logits = [100 + 0.5 * (0.25 - 1000), 100 + 2 * (0.25 - 1000)]
    np.testing.assert_allclose(scorer.score(["cup"]).logits[0, :2], logits, rtol=1e-6)
    shares = scorer.contributions("cup")
    np.testing.assert_allclose(shares.bias[:2], [100 + 0.5 * 0.25, 100 + 2 * 0.25])
    np.testing.assert_allclose(shares.words[:, :2], [[0.5 * -1000, 2 * -1000]])


def test_a_number_scores_by_its_shape(scorer: Scorer) -> None:
    [logits] = scorer.score(["25"]).logits[:, :2]
    np.testing.assert_allclose(logits, [-1 + 0.8, 0.5 + 3 + 0.6], rtol=1e-6)


def test_a_vector_counts_as_often_as_its_word_comes(scorer: Scorer) -> None:
    text = " ".join(["levy"] * 5 + ["25"] * 2)
    total = 5 * np.array([6, 8]) + 2 * np.array([4, 3])
    numbers = 2 * np.array([0, 3]) / np.sqrt(2)
    [logits] = scorer.score([text]).logits[:, :2]
    np.testing.assert_allclose(logits, [-1, 0.5] + numbers + total / np.linalg.norm(total))


def test_texts_are_scored_alike_alone_and_together(scorer: Scorer) -> None:
    texts = ["steel tariff", "levy, levy, steel", "", "Tariff é steel"]
    together = scorer.score(texts).logits
    np.testing.assert_array_equal(together, [scorer.score([text]).logits[0] for text in texts])


def test_contributions_of_words_and_pairs_add_up(scorer: Scorer) -> None:
    text = "steel tariff steel levy tariffs unknown 25"
    shares = scorer.contributions(text)
    assert (shares.words.shape, shares.pairs.shape) == ((7, 4), (6, 4))
    total = shares.bias + shares.words.sum(axis=0) + shares.pairs.sum(axis=0)
    np.testing.assert_allclose(total, scorer.score([text]).logits[0], rtol=1e-6)
    np.testing.assert_array_equal(shares.words[5], np.zeros(4))
    assert shares.pairs[0][0] > 0
    np.testing.assert_array_equal(shares.pairs[1], np.zeros(4))


@pytest.mark.parametrize(
    ("text", "coverage"),
    [
        ("steel levy unknown levy", 3 / 4),
        ("steel = levy;", 2 / 3),
        ("steel(levy)", 2 / 3),
        ("steel (levy)", 1),
        ("steel.levy steel. levy u.s. levy", 5 / 8),
        ("levy_steel[0]", 2 / 6),
    ],
)
def test_coverage_is_the_share_of_known_words_among_words_and_signs_of_code(
    scorer: Scorer, text: str, coverage: float
) -> None:
    assert scorer.score([text]).coverage[0] == pytest.approx(coverage)


def test_texts_are_scored_alike_by_one_thread_and_by_many(scorer: Scorer) -> None:
    texts = [f"steel tariff {'levy ' * (number % 7)}" for number in range(3_000)]
    alone, together = scorer.score(texts), scorer.score(texts, threads=4)
    for expected, found in zip(alone, together, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_tables_for_another_number_of_topics_are_refused(scorer: Scorer) -> None:
    with pytest.raises(ModelError, match="4 columns of weights, not 5"):
        Scorer(scorer.tables._replace(bias=scorer.tables.bias[1:])._asdict())


def test_two_terms_with_the_same_hash_are_refused() -> None:
    with pytest.raises(ValueError, match="same hash"):
        table(["steel", "steel"], 0)


def test_every_term_is_found_where_it_stands_and_no_other(scorer: Scorer) -> None:
    words = [f"w{chr(97 + number % 26) * (number % 11)}\u00df{number:b}" for number in range(5000)]
    words = [word.replace("1", "x") for word in words]
    rows = table(words, 0, 0, range(1, 5001))
    model = machine.Model(scorer.tables._replace(words=rows))
    found = machine.load().find(" ".join(words).encode(), model)[:, 0]
    np.testing.assert_array_equal(rows.view(np.uint32)[found, NUMBER], range(1, 5001))
    unknown = " ".join(f"{word}y" for word in words).encode()
    assert (machine.load().find(unknown, model)[:, 0] == -1).all()


def test_contributions_of_a_megabyte_add_up(scorer: Scorer) -> None:
    text = "steel tariff levy 25 " * 50_000
    shares = scorer.contributions(text)
    total = shares.bias + shares.words.sum(axis=0) + shares.pairs.sum(axis=0)
    np.testing.assert_allclose(total, scorer.score([text]).logits[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "added"),
    [("Iran", 10), ("Iran, Tehran", 10), ("Tehran and Oman", 30), ("Oman: Iran; Oman", 30)],
)
def test_each_state_counts_at_its_first_mention(scorer: Scorer, text: str, added: int) -> None:
    assert scorer.score([text]).logits[0][0] == pytest.approx(-1 + added)
    shares = scorer.contributions(text.lower()).words[:, 0]
    assert shares[0] == 10
    assert shares.sum() == pytest.approx(added)
