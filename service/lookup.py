"""The compiled pass: cuts texts into words, hashes them, looks them up and sums their scores.

Works on the bytes of normalised text in UTF-8, in which every byte above 127 is part of a word, or
of plain ASCII in any case. A term is known by a 64-bit hash (Fowler-Noll-Vo 1a, then mixed);
`table` refuses a vocabulary in which two terms share one. An unknown term is mistaken for one of
some 130,000 known ones with a chance of less than 1 in 10^14.

A topic's logit is a sum::

    bias + sum over words and pairs  (1 + log tf) weight     / |words|
         + sum over prefixes         tf weight               / |words|
         + sum over words            tf vector . direction   / |vectors|

where ``|words|`` is the Euclidean norm of the values ``(1 + log tf) idf`` of a text's words, and
``|vectors|`` that of the sum of their vectors; idf, the weight of the kind of term and the slope of
the calibration are part of the weights, so that the logit is that of the calibrated probability.

Everything is compiled by numba, once for each machine, and runs without Python's lock.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Keys = NDArray[np.uint64]
Doubles = NDArray[np.float64]

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_PAIR = np.uint64(0x9E3779B97F4A7C15)
_PREFIX = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(32)
_ZERO = np.uint8(ord("0"))

_SEPARATOR, _WORD, _DIGIT = range(3)
WORD, VECTOR, PAIR, FOUR, SIX = range(5)  # columns of what a text's words are found as


class Tables(NamedTuple):
    """A compiled model; numbers are 32-bit floats unless said.

    Attributes
    ----------
    word_places, pair_places, prefix_places : ndarray of uint64
        Open-addressing tables of the hashes of all words that have a weight or a vector, of all
        pairs of words and of all prefixes; 0 marks a free place.
    word_rows, pair_rows, prefix_rows : ndarray of int32
        Row of the term at each place.
    idf : ndarray of shape (n_words,)
        0 for a word that has a vector only.
    word_weights : ndarray of shape (n_words, n_topics)
    linear_weights : ndarray of shape (n_words, n_topics)
        Sum of the weights of a word's prefixes, so that only unknown words look theirs up.
    pair_weights : ndarray of shape (n_pairs, n_topics)
    prefix_weights : ndarray of shape (n_prefixes, n_topics)
    has_vector : ndarray of bool, shape (n_words,)
    vectors : ndarray of shape (n_words, n_dimensions)
    directions : ndarray of shape (n_dimensions, n_topics)
    bias : ndarray of shape (n_topics,)
    """

    word_places: Keys
    word_rows: Integers
    pair_places: Keys
    pair_rows: Integers
    prefix_places: Keys
    prefix_rows: Integers
    idf: Floats
    word_weights: Floats
    linear_weights: Floats
    pair_weights: Floats
    prefix_weights: Floats
    has_vector: NDArray[np.bool_]
    vectors: Floats
    directions: Floats
    bias: Floats


Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # neither the package nor the home folder can be written
        return cast(Function, njit(nogil=True)(function))


def _classes() -> tuple[Bytes, Bytes]:
    kind = np.full(256, _SEPARATOR, dtype=np.uint8)
    folded = np.arange(256, dtype=np.uint8)
    kind[ord("a") : ord("z") + 1] = kind[ord("A") : ord("Z") + 1] = kind[ord("0")] = _WORD
    kind[128:] = _WORD
    kind[ord("1") : ord("9") + 1] = _DIGIT
    folded[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    return kind, folded


_KIND, _FOLDED = _classes()
_CODE_SIGNS = np.zeros(256, dtype=np.bool_)
_CODE_SIGNS[[*b"_={}[]\\|<>^~+*"]] = True


@_compiled
def _mixed(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> _SHIFT)) * _MIX
    return state ^ (state >> _SHIFT)


@_compiled
def _hash_terms(data: Bytes, offsets: NDArray[np.int64], kind: int) -> Keys:
    keys = np.empty(len(offsets) - 1, dtype=np.uint64)
    for term in range(len(keys)):
        first = np.uint64(0)
        state = _OFFSET
        for place in range(offsets[term], offsets[term + 1]):
            if kind == PAIR and data[place] == 32:
                first = _mixed(state)
                state = _OFFSET
            else:
                state = (state ^ np.uint64(data[place])) * _PRIME
        if kind == PAIR:
            keys[term] = _mixed(first * _PAIR + _mixed(state))
        elif kind == FOUR:
            keys[term] = _mixed(state ^ _PREFIX)
        else:
            keys[term] = _mixed(state)
    return keys


def table(terms: Sequence[str], kind: int) -> tuple[Keys, Integers]:
    """Build an open-addressing table over terms, at most half full.

    Parameters
    ----------
    terms : sequence of str
    kind : {WORD, PAIR, FOUR}
        Whether they are words, pairs with a space between the words, or prefixes.

    Returns
    -------
    places : ndarray of uint64
    rows : ndarray of int32

    Raises
    ------
    ValueError
        Two terms have the same hash.
    """
    encoded = [term.encode("utf-8") for term in terms]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    keys = _hash_terms(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets, kind)
    places = np.zeros(2 << max(1, len(terms)).bit_length(), dtype=np.uint64)
    rows = np.zeros(len(places), dtype=np.int32)
    if not _fill(keys, places, rows):
        raise ValueError("two terms of the vocabulary have the same hash")
    return places, rows


@_compiled
def _fill(keys: Keys, places: Keys, rows: Integers) -> bool:
    mask = np.uint64(len(places) - 1)
    for row in range(len(keys)):
        place = keys[row] & mask
        while places[place] != 0:
            if places[place] == keys[row]:
                return False
            place = (place + np.uint64(1)) & mask
        places[place] = keys[row]
        rows[place] = row
    return True


@_compiled
def _find(key: np.uint64, places: Keys, rows: Integers) -> np.int32:
    mask = np.uint64(len(places) - 1)
    place = key & mask
    while places[place] != 0:
        if places[place] == key:
            return np.int32(rows[place])
        place = (place + np.uint64(1)) & mask
    return np.int32(-1)


@_compiled
def _is_letter(byte: np.uint8) -> bool:
    return bool(97 <= (byte | 32) <= 122)


@_compiled
def _is_code_sign(data: Bytes, place: int, start: int, end: int) -> bool:
    byte = data[place]
    if byte == ord("("):  # of a call
        return place > start and (_KIND[data[place - 1]] != _SEPARATOR or data[place - 1] == 95)
    if byte == ord("."):  # of a dotted name
        return (
            place >= start + 2
            and place + 2 < end
            and _is_letter(data[place - 2])
            and _is_letter(data[place - 1])
            and _is_letter(data[place + 1])
            and _is_letter(data[place + 2])
        )
    return bool(_CODE_SIGNS[byte])


class _Cut(NamedTuple):
    """A word as it is cut from a text: hash states with digits as zeros, and where it ends."""

    end: int
    key: np.uint64
    four: np.uint64
    six: np.uint64
    letters: int
    digits: bool


@_compiled
def _cut(data: Bytes, start: int, end: int) -> _Cut:
    state = _OFFSET
    four = six = np.uint64(0)
    letters = 0
    digits = False
    place = start
    while place < end and _KIND[data[place]] != _SEPARATOR:
        byte = data[place]
        if byte & 0xC0 != 0x80:  # not the rest of a letter of several bytes
            letters += 1
            if letters == 5:
                four = _mixed(state ^ _PREFIX)
            elif letters == 7:
                six = _mixed(state ^ _PREFIX)
        if _KIND[byte] == _DIGIT:
            digits = True
            byte = _ZERO
        state = (state ^ np.uint64(_FOLDED[byte])) * _PRIME
        place += 1
    return _Cut(place, _mixed(state), four, six, letters, digits)


@_compiled
def _key_with_digits(data: Bytes, start: int, end: int) -> np.uint64:
    state = _OFFSET
    for place in range(start, end):
        state = (state ^ np.uint64(_FOLDED[data[place]])) * _PRIME
    return _mixed(state)


@_compiled
def look_up(data: Bytes, start: int, end: int, tables: Tables, found: Integers) -> tuple[int, int]:
    """Look up the words, pairs and prefixes of one text.

    Parameters
    ----------
    data : ndarray of uint8
    start, end : int
        Where the text stands in it.
    tables : Tables
    found : ndarray of int32, shape (at least the number of words, 5)
        Is filled with a row a word, whose columns are `WORD`, `VECTOR`, `PAIR` (with the word
        before it), `FOUR` and `SIX` (letters of a prefix): rows in the tables, -1 for none. Only
        unknown words are looked up by their prefixes.

    Returns
    -------
    n_words : int
    n_signs : int
        Signs that source code is full of and prose does without.
    """
    n_words = 0
    n_signs = 0
    before = np.uint64(0)
    place = start
    while place < end:
        if _KIND[data[place]] == _SEPARATOR:
            n_signs += _is_code_sign(data, place, start, end)
            place += 1
            continue
        cut = _cut(data, place, end)
        row = found[n_words]
        row[:] = -1
        row[WORD] = row[VECTOR] = _find(cut.key, tables.word_places, tables.word_rows)
        if cut.digits:
            key = _key_with_digits(data, place, cut.end)
            row[VECTOR] = _find(key, tables.word_places, tables.word_rows)
        if row[VECTOR] >= 0 and not tables.has_vector[row[VECTOR]]:
            row[VECTOR] = -1
        if n_words:
            key = _mixed(before * _PAIR + cut.key)
            row[PAIR] = _find(key, tables.pair_places, tables.pair_rows)
        if row[WORD] < 0 and cut.letters > 4:
            row[FOUR] = _find(cut.four, tables.prefix_places, tables.prefix_rows)
        if row[WORD] < 0 and cut.letters > 6:
            row[SIX] = _find(cut.six, tables.prefix_places, tables.prefix_rows)
        before = cut.key
        place = cut.end
        n_words += 1
    return n_words, n_signs


@_compiled
def _sum_terms(
    found: Integers, tables: Tables, word_counts: Integers, pair_counts: Integers, sums: Doubles
) -> None:
    """Sum what words, pairs and prefixes add, divided by the norm of the words."""
    for row in found:
        if row[WORD] >= 0:
            word_counts[row[WORD]] += 1
        if row[PAIR] >= 0:
            pair_counts[row[PAIR]] += 1
    squares = 0.0
    sums[:] = 0
    for row in found:
        word, pair = row[WORD], row[PAIR]
        if word >= 0 and word_counts[word]:
            tf = word_counts[word]
            damped = 1 + np.log(tf)
            squares += (damped * tables.idf[word]) ** 2
            for topic in range(len(sums)):
                sums[topic] += damped * tables.word_weights[word, topic]
                sums[topic] += tf * tables.linear_weights[word, topic]
            word_counts[word] = 0
        if pair >= 0 and pair_counts[pair]:
            damped = 1 + np.log(pair_counts[pair])
            for topic in range(len(sums)):
                sums[topic] += damped * tables.pair_weights[pair, topic]
            pair_counts[pair] = 0
        for column in (FOUR, SIX):
            if row[column] >= 0:
                for topic in range(len(sums)):
                    sums[topic] += tables.prefix_weights[row[column], topic]
    if squares > 0:
        sums /= np.sqrt(squares)


@_compiled
def _sum_vectors(found: Integers, tables: Tables, total: Floats, sums: Doubles) -> None:
    """Project the sum of the vectors, scaled to unit length, and add it to the sums."""
    total[:] = 0
    for row in found:
        if row[VECTOR] >= 0:
            for dimension in range(len(total)):
                total[dimension] += tables.vectors[row[VECTOR], dimension]
    length = np.sqrt(np.sum(total * total))
    if length > 0:
        for topic in range(len(sums)):
            projection = 0.0
            for dimension in range(len(total)):
                projection += total[dimension] * tables.directions[dimension, topic]
            sums[topic] += projection / length


@_compiled
def score(
    data: Bytes,
    offsets: NDArray[np.int64],
    tables: Tables,
    word_counts: Integers,
    pair_counts: Integers,
    found: Integers,
    logits: Doubles,
    coverage: Doubles,
) -> None:
    """Score texts.

    Parameters
    ----------
    data : ndarray of uint8
        The texts, one after the other.
    offsets : ndarray of int64, shape (n_texts + 1,)
        Where each begins, and where the last one ends.
    tables : Tables
    word_counts, pair_counts : ndarray of int32, shape (n_words,) and (n_pairs,)
        All zero, before and after; of this thread alone.
    found : ndarray of int32, shape (at least the words of any of the texts, 5)
        Of this thread alone.
    logits : ndarray of shape (n_texts, n_topics)
        Is filled.
    coverage : ndarray of shape (n_texts,)
        Is filled with the share of known words among all words and signs of source code.
    """
    total = np.zeros(len(tables.directions), dtype=np.float32)
    sums = np.zeros(len(tables.bias))
    for text in range(len(logits)):
        n_words, n_signs = look_up(data, offsets[text], offsets[text + 1], tables, found)
        words = found[:n_words]
        _sum_terms(words, tables, word_counts, pair_counts, sums)
        _sum_vectors(words, tables, total, sums)
        logits[text] = tables.bias + sums
        n_known = 0
        for row in words:
            n_known += row[VECTOR] >= 0 or (row[WORD] >= 0 and tables.idf[row[WORD]] > 0)
        coverage[text] = n_known / max(1, n_words + n_signs)
