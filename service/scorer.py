"""Scores texts with the arrays that training compiled from its scikit-learn pipeline.

A topic's logit is a sum::

    bias + sum over terms  (1 + log tf) idf weight / |terms|
         + sum over words  tf vector · direction   / |vectors|

where ``|terms|`` and ``|vectors|`` are the Euclidean norms of a text's tf-idf values and of the sum
of its words' vectors. The slope of the calibration is part of weights and directions, its intercept
part of the bias, so that the logit is that of the calibrated probability.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from service.terms import pair_term, terms, word_terms

Floats = NDArray[np.float32]


class Arrays(TypedDict):
    """What training hands to the scorer; all numbers are 32-bit floats.

    Attributes
    ----------
    terms : ndarray of uint8
        The terms in the order of their rows, as UTF-8 lines.
    idf : ndarray of shape (n_terms,)
    weights : ndarray of shape (n_terms, n_topics)
    vector_words : ndarray of uint8
        The words that have a vector, as UTF-8 lines; empty where the model has no vector part.
    vectors : ndarray of shape (n_vector_words, n_dimensions)
    directions : ndarray of shape (n_dimensions, n_topics)
    bias : ndarray of shape (n_topics,)
    """

    terms: NDArray[np.uint8]
    idf: Floats
    weights: Floats
    vector_words: NDArray[np.uint8]
    vectors: Floats
    directions: Floats
    bias: Floats


class Contributions(NamedTuple):
    """Shares of a text's logits: ``bias + words.sum(axis=0) + pairs.sum(axis=0)``.

    Attributes
    ----------
    words : ndarray of shape (n_words, n_topics)
    pairs : ndarray of shape (n_words - 1, n_topics)
        Row ``i`` is the pair of words ``i`` and ``i + 1``.
    """

    words: NDArray[np.float64]
    pairs: NDArray[np.float64]


class Scorer:
    """A linear model over tf-idf terms and word vectors.

    Parameters
    ----------
    arrays : Arrays
        As compiled by training.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._term_rows = _rows(arrays["terms"])
        self._vector_rows = _rows(arrays["vector_words"])
        self.bias = arrays["bias"].astype(np.float64)

    def logits(self, documents: Iterable[Sequence[str]]) -> NDArray[np.float64]:
        """Score texts.

        Parameters
        ----------
        documents : iterable of sequence of str
            The words of each text.

        Returns
        -------
        ndarray of shape (n_documents, n_topics)
            Logits of the calibrated probabilities; the bias for a text without a known word.
        """
        rows = [self._logits(words) for words in documents]
        return np.array(rows).reshape(len(rows), len(self.bias))

    def contributions(self, words: Sequence[str]) -> Contributions:
        """Take the logits of one text apart.

        Parameters
        ----------
        words : sequence of str
            The words of the text.

        Returns
        -------
        Contributions
            What each word and each pair of neighbouring words adds, per topic.
        """
        n_topics = len(self.bias)
        by_term = self._term_shares(words)
        by_word = self._vector_shares(words)
        nothing = np.zeros(n_topics)
        return Contributions(
            np.array(
                [
                    sum((by_term.get(term, nothing) for term in word_terms(word)), nothing)
                    + by_word.get(word, nothing)
                    for word in words
                ]
            ).reshape(-1, n_topics),
            np.array([by_term.get(pair_term(*pair), nothing) for pair in pairwise(words)]).reshape(
                -1, n_topics
            ),
        )

    def coverage(self, words: Sequence[str]) -> float:
        """Share of a text's words that the model knows, in [0, 1]; 0 for a text without words."""
        known = sum(word in self._term_rows or word in self._vector_rows for word in words)
        return known / len(words) if words else 0.0

    def _logits(self, words: Sequence[str]) -> NDArray[np.float64]:
        logits = self.bias.copy()
        rows, counts = _count(self._term_rows, terms(words))
        if len(rows):
            values = self._tfidf(rows, counts)
            logits += values @ self._arrays["weights"][rows] / np.linalg.norm(values)
        rows, counts = _count(self._vector_rows, words)
        if len(rows):
            total = counts @ self._arrays["vectors"][rows]
            logits += total @ self._arrays["directions"] / (np.linalg.norm(total) or 1)
        return logits

    def _term_shares(self, words: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return what one occurrence of each known term adds."""
        rows, counts = _count(self._term_rows, terms(words))
        values = self._tfidf(rows, counts)
        shares = self._arrays["weights"][rows] * (values / counts)[:, None]
        by_row = dict(zip(rows.tolist(), shares / (np.linalg.norm(values) or 1), strict=True))
        return {
            term: by_row[row]
            for term in set(terms(words))
            if (row := self._term_rows.get(term)) is not None
        }

    def _vector_shares(self, words: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return what one occurrence of each word with a vector adds."""
        rows, counts = _count(self._vector_rows, words)
        vectors = self._arrays["vectors"][rows]
        shares = vectors @ self._arrays["directions"] / (np.linalg.norm(counts @ vectors) or 1)
        by_row = dict(zip(rows.tolist(), shares, strict=True))
        return {
            word: by_row[row]
            for word in set(words)
            if (row := self._vector_rows.get(word)) is not None
        }

    def _tfidf(self, rows: NDArray[np.intp], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((1 + np.log(counts)) * self._arrays["idf"][rows])


def _rows(lines: NDArray[np.uint8]) -> dict[str, int]:
    text = lines.tobytes().decode("utf-8")
    return {line: row for row, line in enumerate(text.splitlines())}


def _count(
    rows: dict[str, int], occurrences: Iterable[str]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    counter = Counter(map(rows.get, occurrences))
    counter.pop(None, None)
    return (
        np.fromiter(counter.keys(), np.intp, len(counter)),
        np.fromiter(counter.values(), np.float64, len(counter)),
    )
