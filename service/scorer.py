"""The compiled model: scores texts, and takes a score apart word by word."""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import lookup
from service.errors import ModelError
from service.lookup import (
    FOUR,
    IDF,
    MOST_STATES,
    N_COLUMNS,
    PAIR,
    SIX,
    VECTOR,
    WEIGHTS,
    WORD,
    Tables,
)
from service.text import encode_normalised

Integers = NDArray[np.int32]
Doubles = NDArray[np.float64]

_CHUNK = 500  # texts; their bytes stay in the processor's cache
_FEW = 5  # texts


class Scores(NamedTuple):
    """What the model says of texts.

    Attributes
    ----------
    logits : ndarray of shape (n_texts, n_topics)
        Of the calibrated probabilities.
    probabilities : ndarray of shape (n_texts, n_topics)
        Calibrated, in [0, 1], rounded to `service.lookup.DECIMALS`.
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
        The fields of `service.lookup.Tables`, as compiled by training.

    Raises
    ------
    ModelError
        They are for another number of topics.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.tables = Tables(**{name: _read_only(array) for name, array in tables.items()})
        if len(self.tables.bias) != N_COLUMNS:
            # Compiled code would read beyond the ends of them.
            raise ModelError(
                f"the model has {len(self.tables.bias)} columns of weights, not {N_COLUMNS}; train "
                "again with `make train`"
            )
        self._counts: list[Integers] = []  # for calls to take and give back; all zero in here
        # Compiles, or loads what was compiled, before the first request.
        self.score([""])
        self.score([""] * (_FEW + 1))
        self.contributions("")

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
        shape = len(texts), N_COLUMNS - 1
        scores = Scores(np.empty(shape), np.empty(shape), np.empty(len(texts)))
        if len(texts) <= _CHUNK:
            self._fill(texts, scores)
            return scores

        def fill(start: int) -> None:
            chunk = slice(start, start + _CHUNK)
            self._fill(texts[chunk], Scores(*(rows[chunk] for rows in scores)))

        starts = range(0, len(texts), _CHUNK)
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                deque(pool.map(fill, starts), maxlen=0)
        else:
            deque(map(fill, starts), maxlen=0)
        return scores

    def _fill(self, texts: Sequence[str], scores: Scores) -> None:
        data, offsets = joined(texts)
        try:
            counts = self._counts.pop()
        except IndexError:
            n_terms = len(self.tables.word_values) + len(self.tables.pair_weights)
            counts = np.zeros(n_terms, dtype=np.int32)
        score = lookup.score if len(texts) > _FEW else lookup.score_few
        score(data, offsets, self.tables, counts, *scores)
        self._counts.append(counts)

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
        found = lookup.find_words(np.frombuffer(text.encode("utf-8"), dtype=np.uint8), tables)
        word, vector, pair = found[:, WORD], found[:, VECTOR], found[:, PAIR]

        damped, counts = _damped(word)
        shares = (damped / counts)[:, None]
        values = _rows(tables.word_values, word)
        norm = np.sqrt(np.sum(damped * shares[:, 0] * values[:, IDF] ** 2)) or 1.0
        _, weights, linear = np.split(values, [WEIGHTS, WEIGHTS + N_COLUMNS], axis=1)
        words = weights * shares + linear
        for column in (FOUR, SIX):
            words += _rows(tables.prefix_weights, found[:, column])
        words /= norm
        mentions = np.empty(MOST_STATES, dtype=np.int32)
        n_states = lookup.find_states(found, tables, mentions)
        words[mentions[:n_states]] += tables.state_weights[:n_states]
        vectors = _rows(tables.vectors, vector)
        words += vectors @ tables.directions.T / (np.linalg.norm(vectors.sum(axis=0)) or 1.0)

        damped, counts = _damped(pair)
        pairs = _rows(tables.pair_weights, pair) * (damped / counts)[:, None] / norm
        own = Contributions(tables.bias.astype(np.float64), words, pairs[1:])
        slopes, intercepts = tables.caps
        cap = Contributions(*(shares[..., -1:] * slopes for shares in own))
        cap = cap._replace(bias=cap.bias + intercepts)
        own = Contributions(*(shares[..., :-1] for shares in own))
        capped = _total(cap) < _total(own)
        return Contributions(*(np.where(capped, *shares) for shares in zip(cap, own, strict=True)))


def joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Normalise texts and put them one after the other, as `service.lookup.score` takes them.

    Returns
    -------
    data : ndarray of uint8
    offsets : ndarray of int64, shape (n_texts + 1,)
    """
    parts = [encode_normalised(text) for text in texts]
    ends = accumulate(map(len, parts), initial=0)
    offsets = np.fromiter(ends, dtype=np.int64, count=len(parts) + 1)
    return np.frombuffer(b"".join(parts), dtype=np.uint8), offsets


def _total(shares: Contributions) -> Doubles:
    return np.asarray(shares.bias + shares.words.sum(axis=0) + shares.pairs.sum(axis=0))


def _damped(rows: Integers) -> tuple[Doubles, Doubles]:
    """Return ``1 + log tf`` and tf for each occurrence of a term; 1 and 1 where it is unknown."""
    _, inverse, counts = np.unique(rows, return_inverse=True, return_counts=True)
    tf = np.where(rows >= 0, counts[inverse], 1).astype(np.float64)
    return 1 + np.log(tf), tf


def _rows(weights: NDArray[Any], rows: Integers) -> Doubles:
    """Return a row of weights for each occurrence, of zeros where the term is unknown."""
    if len(weights) == 0:
        return np.zeros((len(rows), weights.shape[1]))
    return np.where(rows[:, None] >= 0, weights[rows], 0).astype(np.float64)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # Compiled code is made for one kind of array; a file's map is read-only, so all are.
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
