"""Scores texts with the arrays that training compiled from its scikit-learn pipeline.

A topic's logit is a sum::

    bias + sum over words and pairs  (1 + log tf) idf weight / |words|
         + sum over prefixes         tf idf weight           / |words|
         + sum over words            tf vector · direction   / |vectors|

where ``|words|`` and ``|vectors|`` are the Euclidean norms of the tf-idf values of a text's words
and of the sum of its words' vectors. The slope of the calibration is part of weights and
directions, its intercept part of the bias, so that the logit is that of the calibrated probability.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from service.terms import pair_terms, prefix_terms, word_terms

Floats = NDArray[np.float32]


class Arrays(TypedDict):
    """What training hands to the scorer; numbers are 32-bit floats unless said.

    Attributes
    ----------
    terms : ndarray of uint8
        The terms in the order of their rows, as UTF-8 lines: words, pairs, prefixes.
    n_terms : ndarray of int, shape (3,)
        How many of them are words, pairs, prefixes.
    idf : ndarray of shape (n_terms,)
        Inverse document frequency, times the weight of the kind of term.
    weights : ndarray of shape (n_terms, n_topics)
    vector_words : ndarray of uint8
        The words that have a vector, as UTF-8 lines; empty where the model has no vector part.
    vectors : ndarray of shape (n_vector_words, n_dimensions)
    directions : ndarray of shape (n_dimensions, n_topics)
    bias : ndarray of shape (n_topics,)
    """

    terms: NDArray[np.uint8]
    n_terms: NDArray[np.int_]
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
        self._n_words, n_pairs, _ = arrays["n_terms"].tolist()
        self._first_prefix = self._n_words + n_pairs
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
        terms = word_terms(words)
        rows, counts = _count(self._term_rows, _all_terms(words))
        shares = self._tfidf(rows, counts) / counts
        by_term = _Shares(self._term_rows, rows, self._arrays["weights"][rows] * shares[:, None])
        rows, counts = _count(self._vector_rows, words)
        vectors = self._arrays["vectors"][rows] / self._vector_norm(rows, counts)
        by_word = _Shares(self._vector_rows, rows, vectors @ self._arrays["directions"])
        return Contributions(
            np.array(
                [
                    by_term.sum([term, *prefix_terms([term])]) + by_word.sum([word])
                    for term, word in zip(terms, words, strict=True)
                ]
            ).reshape(-1, len(self.bias)),
            np.array([by_term.sum([pair]) for pair in pair_terms(terms)]).reshape(
                -1, len(self.bias)
            ),
        )

    def count_known(self, words: Sequence[str]) -> int:
        """Count the words of a text that have a weight or a vector."""
        return sum(
            term in self._term_rows or word in self._vector_rows
            for term, word in zip(word_terms(words), words, strict=True)
        )

    def _logits(self, words: Sequence[str]) -> NDArray[np.float64]:
        rows, counts = _count(self._term_rows, _all_terms(words))
        logits = self.bias + self._tfidf(rows, counts) @ self._arrays["weights"][rows]
        rows, counts = _count(self._vector_rows, words)
        if len(rows):
            mean = counts @ self._arrays["vectors"][rows] / self._vector_norm(rows, counts)
            logits += mean @ self._arrays["directions"]
        return np.asarray(logits)

    def _tfidf(self, rows: NDArray[np.intp], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        tf = np.where(rows < self._first_prefix, 1 + np.log(counts), counts)
        values = tf * self._arrays["idf"][rows]
        return np.asarray(values / (np.linalg.norm(values[rows < self._n_words]) or 1))

    def _vector_norm(self, rows: NDArray[np.intp], counts: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(counts @ self._arrays["vectors"][rows])) or 1.0


class _Shares:
    """What one occurrence of each term of a text adds to the logits."""

    def __init__(
        self, rows: dict[str, int], found: NDArray[np.intp], shares: NDArray[np.floating]
    ) -> None:
        self._rows = rows
        self._shares = dict(zip(found.tolist(), shares.astype(np.float64), strict=True))
        self._nothing = np.zeros(shares.shape[1])

    def sum(self, terms: Iterable[str]) -> NDArray[np.float64]:
        found = (self._shares.get(self._rows.get(term, -1), self._nothing) for term in terms)
        return np.asarray(np.sum(list(found), axis=0, initial=0))


def _all_terms(words: Sequence[str]) -> Iterator[str]:
    terms = word_terms(words)
    return chain(terms, pair_terms(terms), prefix_terms(terms))


def _rows(lines: NDArray[np.uint8]) -> dict[str, int]:
    text = lines.tobytes().decode("utf-8")
    return {line: row for row, line in enumerate(text.split("\n") if text else [])}


def _count(
    rows: dict[str, int], occurrences: Iterable[str]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    counter = Counter(map(rows.get, occurrences))
    counter.pop(None, None)
    return (
        np.fromiter(counter.keys(), np.intp, len(counter)),
        np.fromiter(counter.values(), np.float64, len(counter)),
    )
