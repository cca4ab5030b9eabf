"""The compiled model: scores texts, and takes a score apart word by word."""

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import machine
from service.errors import ModelError
from service.tables import (
    MOST_STATES,
    N_COLUMNS,
    N_RESULTS,
    NUMBER,
    SQUARE,
    VECTOR_BITS,
    Tables,
)
from service.text import encode_normalised

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]

_CHUNK = 500  # texts; their bytes stay in the processor's cache
_FEW_BYTES = 5_000  # take less time than giving up Python's lock and getting it back
_TOPICS = N_COLUMNS - 1


class Scores(NamedTuple):
    """What the model says of texts.

    Attributes
    ----------
    logits : ndarray of shape (n_texts, n_topics)
        Of the calibrated probabilities.
    probabilities : ndarray of shape (n_texts, n_topics)
        Calibrated, in [0, 1], rounded to `service.tables.DECIMALS`.
    coverage : ndarray of shape (n_texts,)
        Rounded share of known words, in [0, 1]; 0 for a text without words. Signs that source code
        is full of and prose does without count as unknown words.
    """

    logits: Doubles
    probabilities: Doubles
    coverage: Doubles


class Contributions(NamedTuple):
    """Shares of a text's logits: ``bias + words.sum(axis=0) + pairs.sum(axis=0)``.

    Attributes
    ----------
    bias : ndarray of shape (n_topics,)
    words : ndarray of shape (n_words, n_topics)
    pairs : ndarray of shape (n_words - 1, n_topics)
        Row ``i`` is the pair of words ``i`` and ``i + 1``.
    """

    bias: Doubles
    words: Doubles
    pairs: Doubles


class Scorer:
    """A linear model over tf-idf terms and word vectors.

    Parameters
    ----------
    tables : mapping of str to ndarray
        The fields of `service.tables.Tables`, as compiled by training.

    Raises
    ------
    ModelError
        They are for another number of topics.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._model = machine.Model(Tables(**tables))
        self.tables = self._model.tables
        if len(self.tables.bias) != N_COLUMNS:
            # Compiled code would read beyond the ends of them.
            raise ModelError(
                f"the model has {len(self.tables.bias)} columns of weights, not {N_COLUMNS}; train "
                "again with `make train`"
            )
        self._pass = machine.load()

    def score(self, texts: Sequence[str], *, threads: int = 1) -> Scores:
        """Score texts.

        Parameters
        ----------
        texts : sequence of str
        threads : int, default=1
            How many threads share the work, which is worth while from some thousand texts on.

        Returns
        -------
        Scores
        """
        if len(texts) <= _CHUNK:
            results = self._results(texts)
        else:
            results = np.empty((len(texts), N_RESULTS))

            def fill(start: int) -> None:
                chunk = slice(start, start + _CHUNK)
                results[chunk] = self._results(texts[chunk])

            starts = range(0, len(texts), _CHUNK)
            if threads > 1:
                with ThreadPoolExecutor(threads) as pool:
                    deque(pool.map(fill, starts), maxlen=0)
            else:
                deque(map(fill, starts), maxlen=0)
        return Scores(results[:, :_TOPICS], results[:, _TOPICS:-1], results[:, -1])

    def _results(self, texts: Sequence[str]) -> Doubles:
        if not texts:
            return np.empty((0, N_RESULTS))
        data, offsets, longest = joined(texts)
        keep_lock = len(data) <= _FEW_BYTES
        return self._pass.score(data, offsets, longest, self._model, keep_lock=keep_lock)

    def contributions(self, text: str) -> Contributions:
        """Take the logits of one text apart.

        Parameters
        ----------
        text : str
            Normalised.

        Returns
        -------
        Contributions
            What each word and each pair of neighbouring words adds, per topic.
        """
        tables = self.tables
        word, pair, *prefixes = self._pass.find(text.encode("utf-8"), self._model).T
        words, squares = np.split(_rows(tables.words[:, : SQUARE + 1], word), [SQUARE], axis=1)
        norm = np.sqrt(squares.sum()) or 1.0
        for prefix in prefixes:
            words += _rows(tables.prefixes[:, :N_COLUMNS], prefix)
        words /= norm
        numbers = np.where(word >= 0, tables.words.view(np.uint32)[word, NUMBER], 0)
        states, first = np.unique(numbers >> VECTOR_BITS, return_index=True)
        mentions = np.sort(first[states > 0])[:MOST_STATES]
        words[mentions] += tables.state_weights[: len(mentions)]
        row = (numbers & ((1 << VECTOR_BITS) - 1)).astype(np.int64) - 1
        vectors = _rows(tables.vectors, row)
        words += vectors @ tables.directions.T / (np.linalg.norm(vectors.sum(axis=0)) or 1.0)
        pairs = _rows(tables.pairs[:, :N_COLUMNS], pair) / norm
        own = Contributions(tables.bias.astype(np.float64), words, pairs[1:])
        slopes, intercepts = tables.caps
        cap = Contributions(*(shares[..., -1:] * slopes for shares in own))
        cap = cap._replace(bias=cap.bias + intercepts)
        own = Contributions(*(shares[..., :-1] for shares in own))
        capped = _total(cap) < _total(own)
        return Contributions(*(np.where(capped, *shares) for shares in zip(cap, own, strict=True)))


def joined(texts: Sequence[str]) -> "tuple[bytes, array[int], int]":
    """Normalise texts and put them one after the other, as `service.machine.Pass` takes them.

    Returns
    -------
    data : bytes
    offsets : array of int64
        One more than there are texts.
    longest : int
        Bytes of the longest one.
    """
    parts = [encode_normalised(text) for text in texts]
    sizes = [*map(len, parts)]
    return b"".join(parts), array("q", accumulate(sizes, initial=0)), max(sizes, default=0)


def _total(shares: Contributions) -> Doubles:
    return np.asarray(shares.bias + shares.words.sum(axis=0) + shares.pairs.sum(axis=0))


def _rows(table: NDArray[Any], rows: Integers) -> Doubles:
    """Return a row for each occurrence of a term, of zeros where it is unknown."""
    if len(table) == 0:
        return np.zeros((len(rows), table.shape[1]))
    return np.where(rows[:, None] >= 0, table[rows], 0).astype(np.float64)
