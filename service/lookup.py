"""The compiled pass: cuts texts into words, hashes them, looks them up and sums their scores.

Works on the bytes of normalised text in UTF-8, in which every byte above 127 is part of a word; an
ASCII letter may be of either case. A term is known by a 64-bit hash: the table it stands in is
entered by its lowest bits, and its highest 40 bits are compared. `table` refuses a vocabulary in
which two terms cannot be told apart so; an unknown term is mistaken for a known one with a chance
of about 1 in 10^12.

A text has a sum for each topic, and one for its carrying any topic at all::

    bias + sum over words and pairs  (1 + log tf) weight     / |words|
         + sum over prefixes         tf weight               / |words|
         + sum over words            tf vector . direction   / |vectors|
         + sum over states, the first `MOST_STATES` that are named, of weight of being the n-th

    logit = min(sum of the topic, slope * sum of any topic + intercept)

where ``|words|`` is the Euclidean norm of the values ``(1 + log tf) idf`` of a text's words, and
``|vectors|`` that of the sum of their vectors; idf, the weight of the kind of term and the slope of
the calibration are part of the weights, so that the logit is that of the calibrated probability.
No topic is thus likelier than that there is any.

The time goes into waiting for memory and into branches that the processor guesses wrongly. So a
text is cut first, then looked up, then summed, each in a loop whose turns do not wait for one
another; what belongs to a word lies together; and where a pair of words is mostly unknown, a small
filter says so before the large table is asked.

Everything is compiled by numba, once for each machine, and runs without Python's lock.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from service.topics import TOPICS

# numba imports scipy for matrix products, which are not compiled here, and does without where it is
# missing. That saves every start a quarter of a second and every worker 30 MB.
_hidden = {} if "scipy" in sys.modules else {"scipy": None}
sys.modules.update(_hidden)  # type: ignore[arg-type]
try:
    import numba.np.arraymath  # noqa: F401 - it is this module that looks for scipy, and only once
    from numba import njit
finally:
    for _name in _hidden:
        del sys.modules[_name]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Keys = NDArray[np.uint64]
Doubles = NDArray[np.float64]

# A column of weights for each topic, and a last one for any topic at all. The number is known when
# the loops over them are compiled, which unrolls them.
N_COLUMNS = len(TOPICS) + 1
WORD, VECTOR, PAIR, FOUR, SIX = range(5)  # columns of what a text's words are found as
IDF, STATE, WEIGHTS = range(3)  # columns of a word's values; linear weights follow the weights
MOST_STATES = 4  # different ones that count; a text that names five says no more
PREFIX_LETTERS = (4, 6)
DECIMALS = 6  # of probabilities and coverage; finer than any difference that means something

_UNITS = 10.0**DECIMALS
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_PAIR = np.uint64(0x9E3779B97F4A7C15)
_ROW = np.uint64(0xFFFFFF)  # bits of an entry that hold a row, plus one
_TAG = ~_ROW  # bits of an entry that are those of the term's hash
_FILTER_BITS = 20
_TO_FILTER = np.uint64(64 - _FILTER_BITS)
_ONE, _THREE, _SEVEN, _EIGHT, _SHIFT = map(np.uint64, (1, 3, 7, 8, 32))


class Tables(NamedTuple):
    """A compiled model; numbers are 32-bit floats unless said.

    There is a column of weights for each topic, and a last one for any topic at all.

    Attributes
    ----------
    word_entries, pair_entries, prefix_entries : ndarray of uint64
        Open-addressing tables of all words that have a weight or a vector, of all pairs of words
        and of all prefixes, as `table` builds them.
    pair_filter : ndarray of uint8
        What `filter_of` builds of the pairs' table.
    word_values : ndarray of shape (n_words, 2 + 2 * N_COLUMNS)
        A word's idf, 0 where it has a vector only; the number of the state that it names, 0 for
        none; its weights; and the sums of the weights of its prefixes, so that only unknown words
        look theirs up.
    pair_weights : ndarray of shape (n_pairs, N_COLUMNS)
    prefix_weights : ndarray of shape (n_prefixes, N_COLUMNS)
    state_weights : ndarray of shape (MOST_STATES, N_COLUMNS)
        What the first mention of a text's n-th state adds.
    vectors : ndarray of shape (n_words, n_dimensions)
        Zeros for a word that has none. Fastest with a multiple of 16 dimensions.
    directions : ndarray of shape (N_COLUMNS, n_dimensions)
    bias : ndarray of shape (N_COLUMNS,)
    caps : ndarray of shape (2, n_topics)
        Slopes and intercepts by which the sum of any topic becomes the highest logit of each.
    """

    word_entries: Keys
    pair_entries: Keys
    prefix_entries: Keys
    pair_filter: Bytes
    word_values: Floats
    pair_weights: Floats
    prefix_weights: Floats
    state_weights: Floats
    vectors: Floats
    directions: Floats
    bias: Floats
    caps: Floats


Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function, *, nogil: bool = True) -> Function:
    # Sums may be taken in any order, several numbers at a time; nothing is infinite here.
    compiler = partial(
        njit, nogil=nogil, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
    )
    try:
        return cast(Function, compiler(cache=True)(function))
    except RuntimeError:  # neither the package nor the home folder can be written
        return cast(Function, compiler()(function))


def _classes() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return what each byte counts as in a term, 0 for what parts words, with and without digits.

    In the second, digits count as zeros and are marked by `_DIGIT`.
    """
    exact = np.zeros(256, dtype=np.uint16)
    for kept in (range(ord("a"), ord("z") + 1), range(ord("0"), ord("9") + 1), range(128, 256)):
        exact[kept] = kept
    exact[ord("A") : ord("Z") + 1] = exact[ord("a") : ord("z") + 1]
    shape = exact.copy()
    shape[ord("1") : ord("9") + 1] = ord("0") | _DIGIT
    return exact, shape


_DIGIT = 256
_EXACT, _SHAPE = _classes()
_DAMPED = 1 + np.log(np.maximum(1, np.arange(256)))  # by tf; most are small
_CODE_SIGNS = np.zeros(256, dtype=np.bool_)
_CODE_SIGNS[[*b"_={}[]\\|<>^~+*(."]] = True  # the last two only in some places


@_compiled
def _mixed(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> _SHIFT)) * _MIX
    return state ^ (state >> _SHIFT)


@_compiled
def _key_of_pair(first: np.uint64, second: np.uint64) -> np.uint64:
    return _mixed(first * _PAIR + second)


@_compiled
def _key(data: Bytes, start: int, end: int, classes: NDArray[np.uint16]) -> np.uint64:
    """Hash a word, eight bytes at a time; `cut` does the same."""
    state = group = np.uint64(0)
    size = 0
    for place in range(start, end):
        group = (group << _EIGHT) | np.uint64(classes[data[place]] & 255)
        size += 1
        if size == 8:
            state = _mixed(state ^ group)
            group = np.uint64(0)
            size = 0
    return _mixed((state ^ group) * _MIX)


@_compiled
def _hash_terms(data: Bytes, offsets: NDArray[np.int64]) -> Keys:
    keys = np.empty(len(offsets) - 1, dtype=np.uint64)
    for term in range(len(keys)):
        start, end = offsets[term], offsets[term + 1]
        gap = start
        while gap < end and data[gap] != 32:
            gap += 1
        keys[term] = _key(data, start, gap, _EXACT)
        if gap < end:
            keys[term] = _key_of_pair(keys[term], _key(data, gap + 1, end, _EXACT))
    return keys


def table(terms: Sequence[str]) -> Keys:
    """Build an open-addressing table of terms, at most half full.

    Parameters
    ----------
    terms : sequence of str
        Words, prefixes, or pairs with a space between the words.

    Returns
    -------
    ndarray of uint64
        The 40 highest bits of a term's hash, then its place among the terms, counted from 1; or 0.

    Raises
    ------
    ValueError
        Two terms cannot be told apart by their hashes, or there are more than 16 million.
    """
    if len(terms) >= _ROW:
        raise ValueError(f"a table holds at most {_ROW} terms")
    encoded = [term.encode("utf-8") for term in terms]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    keys = _hash_terms(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)
    entries = np.zeros(2 << max(1, len(terms)).bit_length(), dtype=np.uint64)
    if not _fill(keys, entries):
        raise ValueError("two terms of the vocabulary have the same hash")
    return entries


@_compiled
def _fill(keys: Keys, entries: Keys) -> bool:
    mask = np.uint64(len(entries) - 1)
    for row in range(len(keys)):
        place = keys[row] & mask
        while entries[place] != 0:
            if (entries[place] ^ keys[row]) & _TAG == 0:
                return False
            place = (place + _ONE) & mask
        entries[place] = (keys[row] & _TAG) | np.uint64(row + 1)
    return True


def filter_of(entries: Keys) -> Bytes:
    """Build the filter of a table: which values the first bits of its hashes take.

    Parameters
    ----------
    entries : ndarray of uint64
        What `table` returned.

    Returns
    -------
    ndarray of uint8
        A bit for each value.
    """
    bits = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
    bits[entries[entries != 0] >> _TO_FILTER] = True
    return np.packbits(bits, bitorder="little")


@_compiled
def _find(key: np.uint64, entries: Keys) -> np.int32:
    mask = np.uint64(len(entries) - 1)
    place = key & mask
    while entries[place] != 0:
        if (entries[place] ^ key) & _TAG == 0:
            return np.int32(entries[place] & _ROW) - np.int32(1)
        place = (place + _ONE) & mask
    return np.int32(-1)


@_compiled
def _is_letter(byte: np.uint8) -> bool:
    return bool(97 <= (byte | 32) <= 122)


@_compiled
def _is_code_sign(data: Bytes, place: int, start: int, end: int) -> bool:
    byte = data[place]
    if byte == ord("("):  # of a call
        return place > start and (_EXACT[data[place - 1]] != 0 or data[place - 1] == 95)
    if byte == ord("."):  # of a dotted name
        return (
            place >= start + 2
            and place + 2 < end
            and _is_letter(data[place - 2])
            and _is_letter(data[place - 1])
            and _is_letter(data[place + 1])
            and _is_letter(data[place + 2])
        )
    return True


class Words(NamedTuple):
    """Room for the words of one text.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n, 3)
        Hashes in the columns `WORD` (its digits taken as zeros), `VECTOR` (as it is) and `PAIR`
        (with the word before it).
    starts : ndarray of int64, shape (n,)
        Where each begins.
    found : ndarray of int32, shape (n, 5)
        Rows in the tables, -1 for none, in the columns `WORD`, `VECTOR`, `PAIR`, `FOUR` and `SIX`
        (letters of a prefix). Only unknown words are looked up by their prefixes.
    chosen : ndarray of int32, shape (n,)
        Those that a loop goes on with.
    """

    keys: Keys
    starts: NDArray[np.int64]
    found: Integers
    chosen: Integers


@_compiled
def room(n_bytes: int) -> Words:
    """Make room for the words of a text, each of which takes a byte and a separator at least."""
    n_words = n_bytes // 2 + 1
    return Words(
        np.empty((n_words, 3), dtype=np.uint64),
        np.empty(n_words, dtype=np.int64),
        np.empty((n_words, 5), dtype=np.int32),
        np.empty(n_words, dtype=np.int32),
    )


@_compiled
def cut(data: Bytes, start: int, end: int, words: Words) -> tuple[int, int]:
    """Cut a text into words, and hash them and their pairs.

    Parameters
    ----------
    data : ndarray of uint8
    start, end : int
        Where the text stands in it.
    words : Words
        Its `keys` and `starts` are filled.

    Returns
    -------
    n_words : int
    n_signs : int
        Signs that source code is full of and prose does without.
    """
    keys, starts = words.keys, words.starts
    n_words = n_signs = 0
    before = state = group = np.uint64(0)
    seen = size = 0
    first = start
    for place in range(start, end + 1):
        kind = _SHAPE[data[place]] if place < end else np.uint16(0)
        if kind != 0:
            group = (group << _EIGHT) | np.uint64(kind & 255)
            seen |= int(kind)
            size += 1
            if size == 8:
                state = _mixed(state ^ group)
                group = np.uint64(0)
                size = 0
            continue
        if seen != 0:
            key = _mixed((state ^ group) * _MIX)
            keys[n_words, WORD] = keys[n_words, VECTOR] = key
            if seen & _DIGIT:
                keys[n_words, VECTOR] = _key(data, first, place, _EXACT)
            keys[n_words, PAIR] = _key_of_pair(before, key)
            starts[n_words] = first
            before = key
            state = group = np.uint64(0)
            seen = size = 0
            n_words += 1
        if place < end and _CODE_SIGNS[data[place]]:
            n_signs += _is_code_sign(data, place, start, end)
        first = place + 1
    return n_words, n_signs


@_compiled
def look_up(data: Bytes, end: int, n_words: int, tables: Tables, words: Words) -> None:
    """Look up the words, pairs and prefixes of a text that has been cut.

    Parameters
    ----------
    data : ndarray of uint8
    end : int
        Where the text ends in it.
    n_words : int
        How many words it has.
    tables : Tables
    words : Words
        Its `found` is filled.
    """
    keys, found, candidates = words.keys, words.found, words.chosen
    pair_filter, word_entries, pair_entries = (
        tables.pair_filter,
        tables.word_entries,
        tables.pair_entries,
    )
    n_candidates = 0
    for word in range(n_words):
        found[word, PAIR] = found[word, FOUR] = found[word, SIX] = -1
        bit = keys[word, PAIR] >> _TO_FILTER
        candidates[n_candidates] = word
        n_candidates += (pair_filter[bit >> _THREE] >> np.uint8(bit & _SEVEN)) & 1
    for candidate in range(n_candidates):
        word = candidates[candidate]
        found[word, PAIR] = _find(keys[word, PAIR], pair_entries)
    if n_words:
        found[0, PAIR] = -1  # there is no word before the first
    for word in range(n_words):
        row = _find(keys[word, WORD], word_entries)
        found[word, WORD] = found[word, VECTOR] = row
        if keys[word, VECTOR] != keys[word, WORD]:
            found[word, VECTOR] = _find(keys[word, VECTOR], word_entries)
        if row < 0:
            _look_up_prefixes(data, words.starts[word], end, tables, found, word)


@_compiled
def _look_up_prefixes(
    data: Bytes, start: int, end: int, tables: Tables, found: Integers, word: int
) -> None:
    letters = 0
    for place in range(start, end):
        if _SHAPE[data[place]] == 0:
            return
        if data[place] & 0xC0 != 0x80:  # not the rest of a letter of several bytes
            letters += 1
            if letters == PREFIX_LETTERS[0] + 1:
                found[word, FOUR] = _find(_key(data, start, place, _SHAPE), tables.prefix_entries)
            elif letters == PREFIX_LETTERS[1] + 1:
                found[word, SIX] = _find(_key(data, start, place, _SHAPE), tables.prefix_entries)
                return


@_compiled
def _damped(tf: int) -> float:
    return float(_DAMPED[tf] if tf < len(_DAMPED) else 1 + np.log(tf))


@_compiled
def _sum_terms(n_words: int, tables: Tables, words: Words, counts: Integers, sums: Doubles) -> None:
    """Sum what words, pairs and prefixes add, divided by the norm of the words.

    Each occurrence of a term that is damped by its tf adds an equal share.
    """
    found = words.found
    n_rows = len(tables.word_values)
    word_counts, pair_counts = counts[:n_rows], counts[n_rows:]
    for word in range(n_words):
        if found[word, WORD] >= 0:
            word_counts[found[word, WORD]] += 1
    sums[:] = 0
    squares = _sum_words(n_words, tables, found, word_counts, sums)
    _sum_pairs(n_words, tables.pair_weights, words, word_counts, pair_counts, sums)
    if squares > 0:
        sums /= np.sqrt(squares)
    for word in range(n_words):
        if found[word, WORD] >= 0:
            word_counts[found[word, WORD]] = 0


@_compiled
def _sum_words(
    n_words: int, tables: Tables, found: Integers, counts: Integers, sums: Doubles
) -> float:
    """Add what words and prefixes add, and return the square of the words' norm."""
    values, prefix_weights = tables.word_values, tables.prefix_weights
    squares = 0.0
    for word in range(n_words):
        row = found[word, WORD]
        if row >= 0:
            damped = _damped(counts[row])
            share = damped / counts[row]
            squares += damped * share * values[row, IDF] ** 2
            for column in range(N_COLUMNS):
                sums[column] += (
                    share * values[row, WEIGHTS + column]
                    + values[row, WEIGHTS + N_COLUMNS + column]
                )
            continue
        for letters in (FOUR, SIX):
            row = found[word, letters]
            if row >= 0:
                for column in range(N_COLUMNS):
                    sums[column] += prefix_weights[row, column]
    return squares


@_compiled
def _sum_pairs(
    n_words: int,
    weights: Floats,
    words: Words,
    word_counts: Integers,
    counts: Integers,
    sums: Doubles,
) -> None:
    found, chosen = words.found, words.chosen
    n_pairs = 0
    for word in range(n_words):
        chosen[n_pairs] = word
        n_pairs += found[word, PAIR] >= 0
    n_repeated = 0
    for pair in range(n_pairs):
        word = chosen[pair]
        row = found[word, PAIR]
        if word_counts[found[word, WORD]] == 1:  # no pair comes twice whose word comes once
            for column in range(N_COLUMNS):
                sums[column] += weights[row, column]
        else:
            chosen[n_repeated] = row
            n_repeated += 1
            counts[row] += 1
    for pair in range(n_repeated):
        row = chosen[pair]
        share = _damped(counts[row]) / counts[row]
        for column in range(N_COLUMNS):
            sums[column] += share * weights[row, column]
    for pair in range(n_repeated):
        counts[chosen[pair]] = 0


@_compiled
def find_states(found: Integers, tables: Tables, mentions: Integers) -> int:
    """Find the words that are the first to name a state.

    Parameters
    ----------
    found : ndarray of int32, shape (n_words, 5)
        Of the words of one text.
    tables : Tables
    mentions : ndarray of int32, shape (at least `MOST_STATES` or n_words,)
        Its beginning is filled with the places of those words, in order.

    Returns
    -------
    int
        How many there are, at most `MOST_STATES`.
    """
    values = tables.word_values
    n_states = 0
    for word in range(len(found)):
        row = found[word, WORD]
        if row < 0 or values[row, STATE] == 0:
            continue
        known = False
        for earlier in range(n_states):
            known |= values[found[mentions[earlier], WORD], STATE] == values[row, STATE]
        if not known:
            mentions[n_states] = word
            n_states += 1
            if n_states == MOST_STATES:
                break
    return n_states


@_compiled
def _sum_vectors(n_words: int, tables: Tables, words: Words, total: Doubles, sums: Doubles) -> None:
    """Project the sum of the vectors, scaled to unit length, and add it to the sums."""
    rows, vectors, directions = words.chosen, tables.vectors, tables.directions
    n_dimensions = len(total)
    n_rows = 0
    for word in range(n_words):
        rows[n_rows] = words.found[word, VECTOR]
        n_rows += rows[n_rows] >= 0
    total[:] = 0
    n_fours = n_rows // 4 * 4
    for row in range(0, n_fours, 4):  # four at a time, as the total comes and goes for each
        first, second, third, fourth = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        for dimension in range(n_dimensions):
            total[dimension] += (vectors[first, dimension] + vectors[second, dimension]) + (
                vectors[third, dimension] + vectors[fourth, dimension]
            )
    for row in range(n_fours, n_rows):
        for dimension in range(n_dimensions):
            total[dimension] += vectors[rows[row], dimension]
    squares = 0.0
    for dimension in range(n_dimensions):
        squares += total[dimension] * total[dimension]
    if squares > 0:
        length = np.sqrt(squares)
        for column in range(N_COLUMNS):
            projection = 0.0
            for dimension in range(n_dimensions):
                projection += total[dimension] * directions[column, dimension]
            sums[column] += projection / length


@_compiled
def score(
    data: Bytes,
    offsets: NDArray[np.int64],
    tables: Tables,
    counts: Integers,
    logits: Doubles,
    probabilities: Doubles,
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
    counts : ndarray of int32, shape (n_words + n_pairs,)
        All zero, before and after; nobody else may use them meanwhile.
    logits, probabilities : ndarray of shape (n_texts, n_topics)
        Are filled; probabilities are rounded to `DECIMALS`.
    coverage : ndarray of shape (n_texts,)
        Is filled with the rounded share of known words among all words and signs of source code.
    """
    longest = 0
    for text in range(len(logits)):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = room(longest)
    total = np.empty(tables.directions.shape[1])
    sums = np.empty(N_COLUMNS)
    for text in range(len(logits)):
        end = offsets[text + 1]
        n_words, n_signs = cut(data, offsets[text], end, words)
        look_up(data, end, n_words, tables, words)
        _sum_terms(n_words, tables, words, counts, sums)
        for state in range(find_states(words.found[:n_words], tables, words.chosen)):
            for column in range(N_COLUMNS):
                sums[column] += tables.state_weights[state, column]
        _sum_vectors(n_words, tables, words, total, sums)
        any_topic = tables.bias[-1] + sums[-1]
        for topic in range(N_COLUMNS - 1):
            cap = tables.caps[0, topic] * any_topic + tables.caps[1, topic]
            logit = min(tables.bias[topic] + sums[topic], cap)
            logits[text, topic] = logit
            probabilities[text, topic] = _rounded(1 / (1 + np.exp(-logit)))
        n_known = _count_known(n_words, tables, words)
        coverage[text] = _rounded(n_known / max(1, n_words + n_signs))


@partial(_compiled, nogil=False)
def score_few(*arguments: Any) -> None:
    """Do the same as `score` under Python's lock; to give and get that takes longer than a text."""
    score(*arguments)


@_compiled
def _rounded(share: float) -> float:
    return float(np.rint(share * _UNITS) / _UNITS)


@_compiled
def _count_known(n_words: int, tables: Tables, words: Words) -> int:
    """Count the words that have a vector or a weight of their own, or whose shape has a weight."""
    found = words.found
    n_known = 0
    for word in range(n_words):
        n_known += found[word, VECTOR] >= 0 or (
            found[word, WORD] >= 0 and tables.word_values[found[word, WORD], IDF] > 0
        )
    return n_known


@_compiled
def find_words(data: Bytes, tables: Tables) -> Integers:
    """Look up the words of one text.

    Parameters
    ----------
    data : ndarray of uint8
        The text.
    tables : Tables

    Returns
    -------
    ndarray of int32, shape (n_words, 5)
        Rows in the tables, -1 for none; see `Words`.
    """
    words = room(len(data))
    n_words, _ = cut(data, 0, len(data), words)
    look_up(data, len(data), n_words, tables, words)
    return words.found[:n_words]
