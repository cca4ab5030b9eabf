"""Compiles a fitted pipeline into the tables that the service scores with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service import machine
from service.tables import (
    FILTER_BITS,
    N_COLUMNS,
    N_DIMENSIONS,
    NUMBER,
    ROW_LENGTH,
    SQUARE,
    TAG,
    VECTOR_BITS,
    Bytes,
    Floats,
    Tables,
)
from service.text import tokenise
from training.features import STATE_WEIGHT, VECTOR_WEIGHT, weighted_glove
from training.fit import CalibratedTopics, TermRegression
from training.terms import STATE_TERMS, STATES, prefix_terms, word_terms

Doubles = NDArray[np.float64]


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
    vocabulary, glove = weighted_glove() if "vectors" in parts else ({}, np.empty((0, 0), np.int8))
    # Texts are never cut into words such as "u.s.", and digits count as zeros.
    vocabulary = {
        word: row for word, row in vocabulary.items() if word_terms(tokenise(word)) == [word]
    }
    all_words = sorted(vocabulary.keys() | set(words) | STATES.keys())

    weights = feature_weights(model)
    idf = np.concatenate(
        [part.idf_ * weight for part, weight in zip(terms.parts_, terms.weights_, strict=True)]
    )
    by_word, by_pair, by_prefix = np.split(
        weights[: len(idf)] * idf[:, None], [len(words), len(words) + len(pairs)]
    )
    by_state, by_dimension = np.split(weights[len(idf) :], [len(STATE_TERMS)])
    row_of = {word: row for row, word in enumerate(all_words)}
    rows = [row_of[word] for word in words]
    values = _by_prefixes(all_words, prefixes, by_prefix)
    values[rows] += by_word
    squares = np.zeros(len(all_words))
    squares[rows] = idf[: len(words)] ** 2
    numbers = [
        vocabulary.get(word, -1) + 1 | STATES.get(word, 0) << VECTOR_BITS for word in all_words
    ]
    beyond = N_DIMENSIONS - glove.shape[1]
    directions = by_dimension.T * VECTOR_WEIGHT
    bias = np.array([column.intercept_ for column in _columns(model)])
    bias *= _slopes(model)
    bias[:-1] += model.calibration_.intercepts_
    pair_table = table(pairs, by_pair)
    return Tables(
        words=table(all_words, values, squares, numbers),
        pairs=pair_table,
        prefixes=table([prefix.removesuffix("*") for prefix in prefixes], by_prefix),
        pair_filter=filter_of(pair_table),
        state_weights=_floats(by_state * STATE_WEIGHT),
        vectors=np.ascontiguousarray(np.pad(glove, ((0, 0), (0, beyond)))),
        directions=_floats(np.pad(directions, ((0, 0), (0, beyond)))),
        bias=_floats(bias),
        caps=_floats(np.array([model.calibration_.slopes_, model.calibration_.intercepts_])),
    )


def table(
    terms: Sequence[str],
    weights: ArrayLike,
    squares: ArrayLike = 0.0,
    numbers: ArrayLike = 0,
) -> Floats:
    """Build an open-addressing table of terms, at most two thirds full.

    Parameters
    ----------
    terms : sequence of str
        Words, prefixes, or pairs with a space between the words.
    weights : array-like of shape (n_terms, N_COLUMNS)
    squares : array-like of shape (n_terms,), default=0.0
        Squared idf of words.
    numbers : array-like of int, shape (n_terms,), default=0
        Vectors and states of words.

    Returns
    -------
    ndarray of float32, shape (a power of two, ROW_LENGTH)
        What `service.tables.Tables` has for words, pairs and prefixes.

    Raises
    ------
    ValueError
        Two terms cannot be told apart by their hashes.
    OverflowError
        A number has more than 32 bits.
    """
    keys = _hashes(terms)
    found = np.zeros((len(terms), ROW_LENGTH), dtype=np.float32)
    found[:, :N_COLUMNS] = weights
    found[:, SQUARE] = squares
    found.view(np.uint32)[:, TAG] = keys >> 32 | 1
    found.view(np.uint32)[:, NUMBER] = np.asarray(numbers, dtype=np.uint32)
    size = 1 << max(1, len(terms) * 3 // 2).bit_length()
    rows = np.zeros((size, ROW_LENGTH), dtype=np.float32)
    tags = rows.view(np.uint32)[:, TAG]
    for key, term in zip(keys.tolist(), found, strict=True):
        row = key % size
        while tags[row] != 0:
            if tags[row] == key >> 32 | 1:
                raise ValueError("two terms of the vocabulary have the same hash")
            row = (row + 1) % size
        rows[row] = term
    return rows


def filter_of(pairs: Floats) -> Bytes:
    """Build the filter of a table: which values the first bits of its hashes take.

    Parameters
    ----------
    pairs : ndarray of float32, shape (a power of two, ROW_LENGTH)
        What `table` returned.

    Returns
    -------
    ndarray of uint8
        A bit for each value.
    """
    tags = pairs.view(np.uint32)[:, TAG]
    bits = np.zeros(1 << FILTER_BITS, dtype=np.bool_)
    bits[tags[tags != 0] >> (32 - FILTER_BITS)] = True
    return np.packbits(bits, bitorder="little")


def _hashes(terms: Sequence[str]) -> NDArray[np.uint64]:
    hashes = machine.load().hash_words("\n".join(terms).encode("utf-8"))
    if any(" " in term for term in terms):  # the hash of a pair stands beside its second word
        return hashes[1::2, 1]
    return hashes[:, 0]


def term_names(model: CalibratedTopics) -> list[str]:
    """Return the terms of a fitted model in the order of their features."""
    terms = dict(model.estimator_["features"]["parts"].transformer_list)["terms"]
    return [*(name for part in terms.parts_ for name in part.get_feature_names_out()), *STATE_TERMS]


def feature_weights(model: CalibratedTopics) -> Doubles:
    """Return what a feature adds to a text's sums, of shape (n_features, n_topics + 1)."""
    weights = [column.coef_ * column.scale_ for column in _columns(model)]
    return np.asarray(np.array(weights).T * _slopes(model))


def _columns(model: CalibratedTopics) -> list[TermRegression]:
    """Return the fitted scale and regression of each topic, and of any topic."""
    topics = model.estimator_["topics"]
    return [*topics.topics_, topics.any_topic_]


def _slopes(model: CalibratedTopics) -> Doubles:
    """Return the slope of each topic's calibration, and 1 for any topic, which has none."""
    return np.append(model.calibration_.slopes_, 1)


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
