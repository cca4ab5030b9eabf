import numpy as np
import pytest

from service.errors import ModelError
from service.lookup import VECTOR, Floats, Tables, filter_of, find_words, table
from service.scorer import Scorer


def columns(values: list[list[float]]) -> Floats:
    """Give the last two topics, which these tests do without, a column of zeros each."""
    return np.insert(np.array(values, dtype=np.float32), [2, 2], 0, axis=1)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """Two topics, three words, a pair, a prefix, two vectors and two states with three names."""
    floats = np.float32
    words = np.array(
        # idf, state, weights, sums of the weights of prefixes
        [
            [1, 0, 1, 0, 0, 0, 0, 0],
            [2, 0, 4, 2, 5, 4, 4, 6],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 3, 1, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 7, 0, 0, 0, 0, 0, 0],
            [0, 7, 0, 0, 0, 0, 0, 0],
            [0, 8, 0, 0, 0, 0, 0, 0],
            [1, 0, 2, 1, -1000, 0, 0, 0],
        ],
        dtype=floats,
    )
    pairs = table(["steel tariff"])
    return Scorer(
        Tables(
            word_entries=table(
                ["steel", "tariff", "levy", "00", "25", "iran", "tehran", "oman", "cup"]
            ),
            pair_entries=pairs,
            prefix_entries=table(["tari"]),
            pair_filter=filter_of(pairs),
            word_values=np.insert(words, [4, 4, 7, 7], 0, axis=1),
            pair_weights=columns([[9, -3, 1]]),
            prefix_weights=columns([[4, 4, 6]]),
            state_weights=columns([[10, 1, 5], [20, 2, 5], [40, 4, 5], [80, 8, 5]]),
            vectors=np.array(
                [[0, 0], [3, 4], [6, 8], [0, 0], [4, 3], [0, 0], [0, 0], [0, 0], [0, 0]],
                dtype=floats,
            ),
            directions=np.ascontiguousarray(columns([[1, 0, 0], [0, 1, 0]]).T),
            bias=columns([[-1, 0.5, 0.25]])[0],
            caps=columns([[0.5, 2], [100, 100]]),
        )._asdict()
    )


def test_a_text_without_a_known_word_gets_the_bias(scorer: Scorer) -> None:
    scores = scorer.score(["", "unknown", "!?"])
    np.testing.assert_array_equal(scores.logits[:, :2], [[-1, 0.5]] * 3)
    np.testing.assert_array_equal(scores.coverage, [0, 0, 0])


def test_no_text_gives_no_row(scorer: Scorer) -> None:
    assert scorer.score([]).logits.shape == (0, 4)


def test_a_logit_is_the_sum_that_the_module_promises(scorer: Scorer) -> None:
    twice = 1 + np.log(2)
    length = np.hypot(twice * 1, 2)  # of "steel" and "tariff", by their idf
    words = twice * np.array([1, 0]) + np.array([4, 2])
    pair = np.array([9, -3])
    prefixes = 2 * np.array([4, 4])  # of "tariff", which is known, and of "tariffs", which is not
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


def test_a_number_weighs_by_its_shape_and_has_its_own_vector(scorer: Scorer) -> None:
    [logits] = scorer.score(["25"]).logits[:, :2]
    np.testing.assert_allclose(logits, [-1 + 0.8, 0.5 + 3 + 0.6], rtol=1e-6)


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
        table(["steel", "steel"])


def test_every_term_is_found_at_its_place_and_no_other(scorer: Scorer) -> None:
    words = [f"w{chr(97 + number % 26) * (number % 11)}{number}" for number in range(5000)]
    entries = table(words)
    data = np.frombuffer(" ".join(words).encode(), dtype=np.uint8)
    tables = scorer.tables._replace(word_entries=entries)
    np.testing.assert_array_equal(find_words(data, tables)[:, VECTOR], range(5000))
    unknown = np.frombuffer(" ".join(f"{word}x" for word in words).encode(), dtype=np.uint8)
    assert (find_words(unknown, tables)[:, VECTOR] == -1).all()


@pytest.mark.parametrize(
    ("text", "added"),
    [("Iran", 10), ("Iran, Tehran", 10), ("Tehran and Oman", 30), ("Oman: Iran; Oman", 30)],
)
def test_each_state_counts_at_its_first_mention(scorer: Scorer, text: str, added: int) -> None:
    assert scorer.score([text]).logits[0][0] == pytest.approx(-1 + added)
    shares = scorer.contributions(text.lower()).words[:, 0]
    assert shares[0] == 10
    assert shares.sum() == pytest.approx(added)
