"""Compiles a fitted pipeline into the tables that the service scores with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from service.lookup import FOUR, PAIR, WORD, Tables, table
from training.features import VECTOR_WEIGHT, weighted_glove
from training.fit import CalibratedTopics
from training.terms import prefix_terms, word_terms

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
    vocabulary, glove = weighted_glove() if "vectors" in parts else ({}, np.empty((0, 0)))
    all_words = [*words, *sorted(vocabulary.keys() - set(words))]

    weights = feature_weights(model)
    idf = np.concatenate(
        [part.idf_ * weight for part, weight in zip(terms.parts_, terms.weights_, strict=True)]
    )
    by_word, by_pair, by_prefix = np.split(
        weights[: len(idf)] * idf[:, None], [len(words), len(words) + len(pairs)]
    )
    has_vector = np.array([word in vocabulary for word in all_words])
    vectors = np.zeros((len(all_words), len(weights) - len(idf)))
    if vocabulary:
        rows = [vocabulary[word] for word in all_words if word in vocabulary]
        vectors[has_vector] = glove[rows]
    intercepts = [topic["regression"].intercept_[0] for topic in _topics(model)]
    return Tables(
        *table(all_words, WORD),
        *table(pairs, PAIR),
        *table([prefix.removesuffix("*") for prefix in prefixes], FOUR),
        idf=_floats(_padded(idf[: len(words), None], len(all_words))[:, 0]),
        word_weights=_floats(_padded(by_word, len(all_words))),
        linear_weights=_floats(_by_prefixes(all_words, prefixes, by_prefix)),
        pair_weights=_floats(by_pair),
        prefix_weights=_floats(by_prefix),
        has_vector=has_vector,
        vectors=_floats(vectors),
        directions=_floats(weights[len(idf) :] * VECTOR_WEIGHT),
        bias=_floats(np.array(intercepts) * model.slopes_ + model.intercepts_),
    )


def term_names(model: CalibratedTopics) -> list[str]:
    """Return the terms of a fitted model in the order of their features."""
    terms = dict(model.estimator_["features"]["parts"].transformer_list)["terms"]
    return [name for part in terms.parts_ for name in part.get_feature_names_out()]


def feature_weights(model: CalibratedTopics) -> Doubles:
    """Return what a feature adds to the calibrated logits, of shape (n_features, n_topics)."""
    columns = [topic["regression"].coef_[0] * topic["scale"].scale_ for topic in _topics(model)]
    return np.asarray(np.array(columns).T * model.slopes_)


def _topics(model: CalibratedTopics) -> list[Pipeline]:
    """Return the fitted scale and regression of each topic."""
    return list(model.estimator_["topics"].estimators_)


def _by_prefixes(words: Sequence[str], prefixes: Sequence[str], weights: Doubles) -> Doubles:
    """Sum the weights of each word's prefixes."""
    row_of = {prefix: row for row, prefix in enumerate(prefixes)}
    sums = np.zeros((len(words), weights.shape[1]))
    for row, word in enumerate(words):
        for prefix in prefix_terms(word_terms([word])):
            if prefix in row_of:
                sums[row] += weights[row_of[prefix]]
    return sums


def _padded(rows: Doubles, length: int) -> Doubles:
    """Add rows of zeros, for the words that have a vector only."""
    return np.concatenate([rows, np.zeros((length - len(rows), rows.shape[1]))])


def _floats(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
