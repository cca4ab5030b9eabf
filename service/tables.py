"""The layout of a compiled model: what its arrays hold, and where in them.

Words, pairs of words and prefixes stand in open-addressing tables, a term in a row of its own: its
weights, what it adds to the square of the norm, its tag and a number, in the 32 bytes of half a
cache line. A term is known by a 64-bit hash. Its lowest bits say in which row to look first, and
its highest 31 bits are the tag that is compared. Training refuses a vocabulary in which two terms
cannot be told apart so; an unknown term is mistaken for a known one with a chance of about 1 in
10^9.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.topics import TOPICS

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

# A column of weights for each topic, and a last one for any topic at all. The number is known when
# the loops over them are compiled, which unrolls them.
N_COLUMNS = len(TOPICS) + 1
SQUARE = N_COLUMNS  # column of a word's squared idf, which the weights come before
TAG, NUMBER = N_COLUMNS + 1, N_COLUMNS + 2  # columns that hold integers of 32 bits
ROW_LENGTH = N_COLUMNS + 3
VECTOR_BITS = 24  # of a number: the row of the word's vector, plus one; above them, its state
N_DIMENSIONS = 64  # a multiple of what processors add up at once
MOST_STATES = 4  # different ones that count; a text that names five says no more
MOST_VECTORS = 1 << 24  # of a text that are summed, so that the sum stays within 32 bits
PREFIX_LETTERS = (4, 6)
FILTER_BITS = 20
DECIMALS = 6  # of probabilities and coverage; finer than any difference that means something


class Tables(NamedTuple):
    """A compiled model; numbers are 32-bit floats unless said.

    Attributes
    ----------
    words, pairs, prefixes : ndarray of shape (a power of two, ROW_LENGTH)
        At most two thirds full; a tag of 0 stands for no term. The weights of a word have those of
        its prefixes in them, so that only unknown words look theirs up. Its squared idf is 0 where
        it has a vector or a state only, its number 0 where it has neither.
    pair_filter : ndarray of uint8
        A bit for each value of the first `FILTER_BITS` bits of a hash: whether a pair has it.
    state_weights : ndarray of shape (MOST_STATES, N_COLUMNS)
        What the first mention of a text's n-th state adds.
    vectors : ndarray of int8, shape (n_vectors, N_DIMENSIONS)
    directions : ndarray of shape (N_COLUMNS, N_DIMENSIONS)
    bias : ndarray of shape (N_COLUMNS,)
    caps : ndarray of shape (2, n_topics)
        Slopes and intercepts by which the sum of any topic becomes the highest logit of each.
    """

    words: Floats
    pairs: Floats
    prefixes: Floats
    pair_filter: Bytes
    state_weights: Floats
    vectors: NDArray[np.int8]
    directions: Floats
    bias: Floats
    caps: Floats


# The room that a pass needs, in numbers of 64 bits: for sums and the like, and for each word.
SUMS_ROOM = 2 * N_COLUMNS + 1 + MOST_STATES + N_DIMENSIONS
WORD_ROOM = 5
N_RESULTS = 2 * len(TOPICS) + 1  # of a text: logits, probabilities and coverage
N_FOUND = 4  # of a word: rows of the word, of its pair with the word before it, of its prefixes
