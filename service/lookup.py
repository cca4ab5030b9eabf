"""The pass over the bytes, for numba to compile: cuts texts into words, looks them up, sums scores.

Works on the bytes of normalised text in UTF-8, in which every byte above 127 is part of a word; an
ASCII letter may be of either case, and a digit counts as a zero. What the tables hold stands in
`service.tables`; `service.machine` has this compiled and calls it.

A text has a sum for each topic, and one for its carrying any topic at all::

    bias + sum over words, pairs and prefixes of their weights / |words|
         + sum over words of vector . direction / |vectors|
         + sum over states, the first `MOST_STATES` that are named, of weight of being the n-th

    logit = min(sum of the topic, slope * sum of any topic + intercept)

where ``|words|`` is the root of the sum of a text's squared idf, and ``|vectors|`` the Euclidean
norm of the sum of its vectors; idf, the weight of the kind of term and the slope of the calibration
are part of the weights, so that the logit is that of the calibrated probability. No topic is thus
likelier than that there is any.

The time goes into waiting for memory and into branches that the processor guesses wrongly. So a
text is cut first, then looked up and summed, each in a loop whose turns do not wait for one
another; each loop asks for the memory that the next one needs; and as a pair of words is mostly
unknown, a small filter says so before the large table is asked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined, unused-ignore]
from numba.extending import intrinsic
from numpy.typing import NDArray

from service.tables import (
    DECIMALS,
    FILTER_BITS,
    MOST_STATES,
    MOST_VECTORS,
    N_COLUMNS,
    N_DIMENSIONS,
    N_FOUND,
    N_RESULTS,
    NUMBER,
    PREFIX_LETTERS,
    ROW_LENGTH,
    SQUARE,
    SUMS_ROOM,
    TAG,
    VECTOR_BITS,
    WORD_ROOM,
    Bytes,
    Floats,
    Tables,
)

Longs = NDArray[np.uint64]
Doubles = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])

KEY, PAIR_KEY, START, CHOSEN, CANDIDATE = range(WORD_ROOM)  # what is noted of a word
# Where the address of a table stands, with its length behind it.
N_PLACES = 2 * len(Tables._fields)
WORDS, PAIRS, PREFIXES, FILTER, STATES, VECTORS, DIRECTIONS, BIAS, CAPS = range(0, N_PLACES, 2)

_UNITS = 10.0**DECIMALS
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_PAIR = np.uint64(0x9E3779B97F4A7C15)
_TO_FILTER = np.uint64(64 - FILTER_BITS)
_VECTOR = np.uint32((1 << VECTOR_BITS) - 1)
_TO_STATE = np.uint32(VECTOR_BITS)
_LOWEST = np.uint32(1)
_ROW_BYTES = np.uint64(4 * ROW_LENGTH)
_ONE, _THREE, _SEVEN, _EIGHT, _SHIFT = map(np.uint64, (1, 3, 7, 8, 32))

# Where in the room they begin, in bytes.
_PLAIN_SUMS = np.uint64(8 * (N_COLUMNS + 1))
_STATES = _PLAIN_SUMS + np.uint64(8 * N_COLUMNS)
_VECTOR_SUM = _STATES + np.uint64(8 * MOST_STATES)
_WORDS = np.uint64(8 * SUMS_ROOM)

# Sums may be taken in any order, several numbers at a time.
_options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


def _compiled(function: Function) -> Function:
    return cast(Function, njit(forceinline=True, **_options)(function))


def _called_with(n_arguments: int) -> Callable[[Function], Any]:
    """Compile for calls from outside, with addresses and numbers of 64 bits."""
    signature = types.int64(*[types.uint64] * n_arguments)
    return cast(Callable[[Function], Any], cfunc(signature, **_options))


def _classes() -> Bytes:
    """Return what each byte counts as in a term, 0 for what parts words."""
    classes = np.zeros(256, dtype=np.uint8)
    for kept in (range(ord("a"), ord("z") + 1), range(128, 256)):
        classes[kept] = kept
    classes[ord("A") : ord("Z") + 1] = classes[ord("a") : ord("z") + 1]
    classes[ord("0") : ord("9") + 1] = ord("0")
    return classes


_CLASSES = _classes()
_CODE_SIGNS = np.zeros(256, dtype=np.bool_)
_CODE_SIGNS[[*b"_={}[]\\|<>^~+*(."]] = True  # the last two only in some places
_OPENING, _DOT, _LINE = b"(._"


def _pointer_code(_: Any, address: Any) -> Any:
    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.PointerType())

    return types.voidptr(address), code


def _fetch_code(_: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, __: Any, arguments: Any) -> Any:
        place, number = ir.PointerType(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place], kind)
        # To read, soon and often, data.
        builder.call(prefetch, [builder.inttoptr(arguments[0], place), *map(number, (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(address), code


_pointer: Any = intrinsic(_pointer_code)
_fetch: Any = intrinsic(_fetch_code)  # asks for the memory at an address without waiting for it


@_compiled
def _array(address: np.uint64, shape: Any, kind: Any) -> Any:
    return carray(_pointer(address), shape, kind)


class Terms(NamedTuple):
    """A table of terms.

    Attributes
    ----------
    values : ndarray of float32, shape (n_rows, ROW_LENGTH)
    numbers : ndarray of uint32, shape (n_rows, ROW_LENGTH)
        The same memory.
    address : int
        Of the same memory.
    """

    values: Floats
    numbers: NDArray[np.uint32]
    address: np.uint64


class Room(NamedTuple):
    """Room for one text.

    Attributes
    ----------
    words : ndarray of uint64, shape (n_words, WORD_ROOM)
        Of a word, its hash, that of its pair with the word before it, and where it begins; then two
        columns for those that a loop goes on with.
    sums : ndarray of float64, shape (N_COLUMNS + 1,)
        What is divided by the norm of the words, and the square of that.
    plain_sums : ndarray of float64, shape (N_COLUMNS,)
    states : ndarray of uint64, shape (MOST_STATES,)
        Those that the text names.
    vector : ndarray of int32, shape (N_DIMENSIONS,)
    """

    words: Longs
    sums: Doubles
    plain_sums: Doubles
    states: Longs
    vector: NDArray[np.int32]


@_compiled
def _terms(model: Longs, table: int) -> Terms:
    address = model[table]
    shape = np.int64(model[table + 1]), ROW_LENGTH
    return Terms(
        _array(address, shape, np.float32),
        _array(address, shape, np.uint32),
        address,
    )


@_compiled
def _room(address: np.uint64, n_bytes: int) -> Room:
    n_words = n_bytes // 2 + 1  # each takes a byte and a separator at least
    return Room(
        _array(address + _WORDS, (n_words, WORD_ROOM), np.uint64),
        _array(address, N_COLUMNS + 1, np.float64),
        _array(address + _PLAIN_SUMS, N_COLUMNS, np.float64),
        _array(address + _STATES, MOST_STATES, np.uint64),
        _array(address + _VECTOR_SUM, N_DIMENSIONS, np.int32),
    )


@_compiled
def _mixed(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> _SHIFT)) * _MIX
    return state ^ (state >> _SHIFT)


@_compiled
def _key(data: Bytes, start: int, end: int) -> np.uint64:
    """Hash the beginning of a word, eight bytes at a time, as `cut` does whole words."""
    state = group = np.uint64(0)
    size = 0
    for place in range(start, end):
        group = (group << _EIGHT) | np.uint64(_CLASSES[data[place]])
        size += 1
        if size == 8:
            state = _mixed(state ^ group)
            group = np.uint64(0)
            size = 0
    return _mixed((state ^ group) * _MIX)


@_compiled
def _first_row(key: np.uint64, terms: Terms) -> np.uint64:
    return key & np.uint64(len(terms.numbers) - 1)


@_compiled
def _find(key: np.uint64, terms: Terms) -> np.int64:
    tag = np.uint32(key >> _SHIFT) | _LOWEST
    row = _first_row(key, terms)
    while terms.numbers[row, TAG] != 0:
        if terms.numbers[row, TAG] == tag:
            return np.int64(row)
        row = _first_row(row + _ONE, terms)
    return np.int64(-1)


@_compiled
def _fetch_row(key: np.uint64, terms: Terms) -> None:
    _fetch(terms.address + _first_row(key, terms) * _ROW_BYTES)


@_compiled
def _add(row: np.int64, terms: Terms, n_columns: int, sums: Doubles) -> None:
    for column in range(n_columns):
        sums[column] += terms.values[row, column]


@_compiled
def _is_letter(byte: np.uint8) -> bool:
    return bool(97 <= (byte | 32) <= 122)


@_compiled
def _is_code_sign(data: Bytes, place: int, start: int, end: int) -> bool:
    byte = data[place]
    if byte == _OPENING:  # of a call
        return place > start and (_CLASSES[data[place - 1]] != 0 or data[place - 1] == _LINE)
    if byte == _DOT:  # of a dotted name
        return (
            place >= start + 2
            and place + 2 < end
            and _is_letter(data[place - 2])
            and _is_letter(data[place - 1])
            and _is_letter(data[place + 1])
            and _is_letter(data[place + 2])
        )
    return True


@_compiled
def cut(data: Bytes, start: int, end: int, words: Longs) -> tuple[int, int]:
    """Cut a text into words, and hash them and their pairs.

    Parameters
    ----------
    data : ndarray of uint8
    start, end : int
        Where the text stands in it.
    words : ndarray of uint64, shape (n_words, WORD_ROOM)
        Its columns `KEY`, `PAIR_KEY` and `START` are filled.

    Returns
    -------
    n_words : int
    n_signs : int
        Signs that source code is full of and prose does without.
    """
    n_words = n_signs = 0
    before = state = group = np.uint64(0)
    size = length = 0
    for place in range(start, end + 1):
        kind = _CLASSES[data[place]] if place < end else np.uint8(0)
        if kind != 0:
            group = (group << _EIGHT) | np.uint64(kind)
            length += 1
            size += 1
            if size == 8:
                state = _mixed(state ^ group)
                group = np.uint64(0)
                size = 0
            continue
        if length != 0:
            key = _mixed((state ^ group) * _MIX)
            words[n_words, KEY] = key
            words[n_words, PAIR_KEY] = _mixed(before * _PAIR + key)
            words[n_words, START] = place - length
            before = key
            state = group = np.uint64(0)
            size = length = 0
            n_words += 1
        if place < end and _CODE_SIGNS[data[place]]:
            n_signs += _is_code_sign(data, place, start, end)
    return n_words, n_signs


@_compiled
def _choose_pairs(n_words: int, pair_filter: Bytes, pairs: Terms, words: Longs) -> int:
    """Note the words whose pair with the word before them may be known, and count them."""
    n_chosen = 0
    for word in range(1, n_words):
        bit = words[word, PAIR_KEY] >> _TO_FILTER
        words[n_chosen, CANDIDATE] = word
        n_chosen += (pair_filter[bit >> _THREE] >> np.uint8(bit & _SEVEN)) & 1
    for candidate in range(n_chosen):
        _fetch_row(words[words[candidate, CANDIDATE], PAIR_KEY], pairs)
    return n_chosen


@_compiled
def _find_prefixes(data: Bytes, start: int, end: int, prefixes: Terms) -> tuple[np.int64, np.int64]:
    """Find the two prefixes of the word that begins at a place."""
    four = six = np.int64(-1)
    letters = 0
    for place in range(start, end):
        if _CLASSES[data[place]] == 0:
            break
        if data[place] & 0xC0 != 0x80:  # not the rest of a letter of several bytes
            letters += 1
            if letters == PREFIX_LETTERS[0] + 1:
                four = _find(_key(data, start, place), prefixes)
            elif letters == PREFIX_LETTERS[1] + 1:
                six = _find(_key(data, start, place), prefixes)
                break
    return four, six


@_compiled
def _sum_words(
    data: Bytes,
    end: int,
    n_words: int,
    known: Terms,
    prefixes: Terms,
    state_weights: Floats,
    room: Room,
) -> tuple[int, int]:
    """Add what words, their prefixes and the states that they name add.

    Returns
    -------
    n_known : int
        Words that are known.
    n_vectors : int
        Rows of vectors, plus one, that stand in the column `CHOSEN`.
    """
    words, states = room.words, room.states
    n_known = n_vectors = n_states = 0
    for word in range(n_words):
        row = _find(words[word, KEY], known)
        if row < 0:
            for prefix in _find_prefixes(data, words[word, START], end, prefixes):
                if prefix >= 0:
                    _add(prefix, prefixes, N_COLUMNS, room.sums)
            continue
        n_known += 1
        _add(row, known, N_COLUMNS + 1, room.sums)
        number = known.numbers[row, NUMBER]
        words[n_vectors, CHOSEN] = number & _VECTOR
        n_vectors += (number & _VECTOR) != 0
        state = number >> _TO_STATE
        if state != 0 and n_states < MOST_STATES:
            new = True
            for earlier in range(n_states):
                new &= states[earlier] != state
            if new:
                for column in range(N_COLUMNS):
                    room.plain_sums[column] += state_weights[n_states, column]
                states[n_states] = state
                n_states += 1
    return n_known, n_vectors


@_compiled
def _sum_vectors(n_vectors: int, vectors: NDArray[np.int8], directions: Floats, room: Room) -> None:
    """Project the sum of the vectors, scaled to unit length, and add it to the sums."""
    words, total, sums = room.words, room.vector, room.plain_sums
    total[:] = 0
    n_fours = n_vectors // 4 * 4
    for word in range(0, n_fours, 4):  # four at a time, as the total comes and goes for each
        first, second, third, fourth = (
            words[word, CHOSEN] - _ONE,
            words[word + 1, CHOSEN] - _ONE,
            words[word + 2, CHOSEN] - _ONE,
            words[word + 3, CHOSEN] - _ONE,
        )
        for dimension in range(N_DIMENSIONS):
            total[dimension] += (
                np.int32(vectors[first, dimension])
                + np.int32(vectors[second, dimension])
                + np.int32(vectors[third, dimension])
                + np.int32(vectors[fourth, dimension])
            )
    for word in range(n_fours, n_vectors):
        for dimension in range(N_DIMENSIONS):
            total[dimension] += np.int32(vectors[words[word, CHOSEN] - _ONE, dimension])
    squares = 0.0
    for dimension in range(N_DIMENSIONS):
        squares += np.float64(total[dimension]) * np.float64(total[dimension])
    if squares > 0:
        length = np.sqrt(squares)
        for column in range(N_COLUMNS):
            projection = 0.0
            for dimension in range(N_DIMENSIONS):
                projection += np.float64(total[dimension]) * directions[column, dimension]
            sums[column] += projection / length


@_compiled
def _rounded(share: float) -> float:
    return float(np.rint(share * _UNITS) / _UNITS)


@_called_with(6)
def score(
    data: np.uint64,
    offsets: np.uint64,
    n_texts: np.uint64,
    model: np.uint64,
    room: np.uint64,
    results: np.uint64,
) -> int:
    """Score texts; see `service.machine.Pass.score`."""
    ends = _array(offsets, np.int64(n_texts) + 1, np.int64)
    text_bytes = _array(data, ends[n_texts], np.uint8)
    rows = _array(results, (np.int64(n_texts), N_RESULTS), np.float64)
    tables = _array(model, N_PLACES, np.uint64)
    words, pairs, prefixes = _terms(tables, WORDS), _terms(tables, PAIRS), _terms(tables, PREFIXES)
    pair_filter = _array(tables[FILTER], 1 << FILTER_BITS >> 3, np.uint8)
    state_weights = _array(tables[STATES], (MOST_STATES, N_COLUMNS), np.float32)
    vectors = _array(tables[VECTORS], (np.int64(tables[VECTORS + 1]), N_DIMENSIONS), np.int8)
    directions = _array(tables[DIRECTIONS], (N_COLUMNS, N_DIMENSIONS), np.float32)
    bias = _array(tables[BIAS], N_COLUMNS, np.float32)
    caps = _array(tables[CAPS], (2, N_COLUMNS - 1), np.float32)
    for text in range(len(rows)):
        start, end = ends[text], ends[text + 1]
        space = _room(room, end - start)
        space.sums[:] = 0
        space.plain_sums[:] = 0
        n_words, n_signs = cut(text_bytes, start, end, space.words)
        for word in range(n_words):
            _fetch_row(space.words[word, KEY], words)
            _fetch(tables[FILTER] + (space.words[word, PAIR_KEY] >> _TO_FILTER >> _THREE))
        n_pairs = _choose_pairs(n_words, pair_filter, pairs, space.words)
        n_known, n_vectors = _sum_words(
            text_bytes, end, n_words, words, prefixes, state_weights, space
        )
        n_vectors = min(n_vectors, MOST_VECTORS)
        for vector in range(n_vectors):
            _fetch(tables[VECTORS] + (space.words[vector, CHOSEN] - _ONE) * np.uint64(N_DIMENSIONS))
        for pair in range(n_pairs):
            row = _find(space.words[space.words[pair, CANDIDATE], PAIR_KEY], pairs)
            if row >= 0:
                _add(row, pairs, N_COLUMNS, space.sums)
        _sum_vectors(n_vectors, vectors, directions, space)
        norm = np.sqrt(space.sums[SQUARE]) if space.sums[SQUARE] > 0 else 1.0
        any_topic = bias[-1] + space.sums[N_COLUMNS - 1] / norm + space.plain_sums[-1]
        for topic in range(N_COLUMNS - 1):
            own = bias[topic] + space.sums[topic] / norm + space.plain_sums[topic]
            logit = min(own, caps[0, topic] * any_topic + caps[1, topic])
            rows[text, topic] = logit
            rows[text, N_COLUMNS - 1 + topic] = _rounded(1 / (1 + np.exp(-logit)))
        rows[text, N_RESULTS - 1] = _rounded(n_known / max(1, n_words + n_signs))
    return len(rows)


@_called_with(5)
def find(
    data: np.uint64, n_bytes: np.uint64, model: np.uint64, room: np.uint64, found: np.uint64
) -> int:
    """Look up the words of one text; see `service.machine.Pass.find`."""
    text_bytes = _array(data, np.int64(n_bytes), np.uint8)
    end = len(text_bytes)
    words = _room(room, end).words
    rows = _array(found, (len(words), N_FOUND), np.int64)
    tables = _array(model, N_PLACES, np.uint64)
    known, pairs, prefixes = _terms(tables, WORDS), _terms(tables, PAIRS), _terms(tables, PREFIXES)
    n_words, _ = cut(text_bytes, 0, end, words)
    for word in range(n_words):
        rows[word, 0] = _find(words[word, KEY], known)
        rows[word, 1] = _find(words[word, PAIR_KEY], pairs) if word > 0 else np.int64(-1)
        rows[word, 2] = rows[word, 3] = -1
        if rows[word, 0] < 0:
            rows[word, 2], rows[word, 3] = _find_prefixes(
                text_bytes, words[word, START], end, prefixes
            )
    return n_words


@_called_with(3)
def hash_words(data: np.uint64, n_bytes: np.uint64, room: np.uint64) -> int:
    """Cut and hash the words of one text; see `service.machine.Pass.hash_words`."""
    text_bytes = _array(data, np.int64(n_bytes), np.uint8)
    end = len(text_bytes)
    n_words, _ = cut(text_bytes, 0, end, _room(room, end).words)
    return n_words
