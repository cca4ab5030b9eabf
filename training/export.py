"""Compiles a fitted pipeline into the tables that the service scores with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from service.lookup import IDF, STATE, WEIGHTS, Tables, filter_of, table
from service.text import tokenise
from training.features import STATE_WEIGHT, VECTOR_WEIGHT, weighted_glove
from training.fit import CalibratedTopics
from training.terms import STATE_TERMS, STATES, prefix_terms, word_terms

Doubles = NDArray[np.float64]
LANES = 16  # numbers that processors add up at once; there are zeros in what a vector lacks


def compile_tables(model: CalibratedTopics) -> Tables:
    """Flatten a fitted model.

    Parameters
    ----------
    model : CalibratedTopics
        Fitted, of the shape that `training.fit.model` builds.

    Returns
    -------
    Tables
        Give the same logits as ``model.decision_function``, up to the rounding of 32-bit floats.

    Raises
    ------
    ValueError
        Two terms have the same hash.
    """
    parts = dict(model.estimator_["features"]["parts"].transformer_list)
    terms = parts["terms"]
    words, pairs, prefixes = (part.get_feature_names_out().tolist() for part in terms.parts_)
    vocabulary, glove = weighted_glove() if "vectors" in parts else ({}, np.empty((0, 0)))
    # Texts are never cut into words such as "u.s.".
    vocabulary = {word: row for word, row in vocabulary.items() if tokenise(word) == [word]}
    # The most frequent first, so that what is wanted most often lies together.
    all_words = sorted(
        vocabulary.keys() | set(words) | STATES.keys(),
        key=lambda word: (vocabulary.get(word, len(vocabulary)), word),
    )

    weights = feature_weights(model)
    idf = np.concatenate(
        [part.idf_ * weight for part, weight in zip(terms.parts_, terms.weights_, strict=True)]
    )
    by_word, by_pair, by_prefix = np.split(
        weights[: len(idf)] * idf[:, None], [len(words), len(words) + len(pairs)]
    )
    by_state, by_dimension = np.split(weights[len(idf) :], [len(STATE_TERMS)])
    vectors = np.zeros((len(all_words), glove.shape[1] + -glove.shape[1] % LANES))
    values = np.zeros((len(all_words), WEIGHTS + 2 * by_word.shape[1]))
    row_of = {word: row for row, word in enumerate(all_words)}
    rows = [row_of[word] for word in words]
    values[rows, IDF] = idf[: len(words)]
    values[[row_of[name] for name in STATES], STATE] = list(STATES.values())
    values[rows, WEIGHTS : WEIGHTS + by_word.shape[1]] = by_word
    values[:, WEIGHTS + by_word.shape[1] :] = _by_prefixes(all_words, prefixes, by_prefix)
    with_vector = [row_of[word] for word in vocabulary]
    vectors[with_vector, : glove.shape[1]] = glove[list(vocabulary.values())]
    directions = np.zeros((by_word.shape[1], vectors.shape[1]))
    directions[:, : glove.shape[1]] = by_dimension.T * VECTOR_WEIGHT
    bias = np.array([column["regression"].intercept_[0] for column in _columns(model)])
    bias *= _slopes(model)
    bias[:-1] += model.intercepts_
    pair_entries = table(pairs)
    return Tables(
        word_entries=table(all_words),
        pair_entries=pair_entries,
        prefix_entries=table([prefix.removesuffix("*") for prefix in prefixes]),
        pair_filter=filter_of(pair_entries),
        word_values=_floats(values),
        pair_weights=_floats(by_pair),
        prefix_weights=_floats(by_prefix),
        state_weights=_floats(by_state * STATE_WEIGHT),
        vectors=_floats(vectors),
        directions=_floats(directions),
        bias=_floats(bias),
        caps=_floats(np.array([model.slopes_, model.intercepts_])),
    )


def term_names(model: CalibratedTopics) -> list[str]:
    """Return the terms of a fitted model in the order of their features."""
    terms = dict(model.estimator_["features"]["parts"].transformer_list)["terms"]
    return [*(name for part in terms.parts_ for name in part.get_feature_names_out()), *STATE_TERMS]


def feature_weights(model: CalibratedTopics) -> Doubles:
    """Return what a feature adds to a text's sums, of shape (n_features, n_topics + 1)."""
    weights = [column["regression"].coef_[0] * column["scale"].scale_ for column in _columns(model)]
    return np.asarray(np.array(weights).T * _slopes(model))


def _columns(model: CalibratedTopics) -> list[Pipeline]:
    """Return the fitted scale and regression of each topic, and of any topic."""
    topics = model.estimator_["topics"]
    return [*topics.topics_, topics.any_topic_]


def _slopes(model: CalibratedTopics) -> Doubles:
    """Return the slope of each topic's calibration, and 1 for any topic, which has none."""
    return np.append(model.slopes_, 1)


def _by_prefixes(words: Sequence[str], prefixes: Sequence[str], weights: Doubles) -> Doubles:
    """Sum the weights of each word's prefixes."""
    row_of = {prefix: row for row, prefix in enumerate(prefixes)}
    sums = np.zeros((len(words), weights.shape[1]))
    for row, word in enumerate(words):
        for prefix in prefix_terms(word_terms([word])):
            if prefix in row_of:
                sums[row] += weights[row_of[prefix]]
    return sums


def _floats(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
