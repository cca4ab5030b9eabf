"""The terms of a paragraph: its words, pairs of neighbouring words, and prefixes of words.

Digits count as zeros, so that 1,200 and 1,500 are the same term.
"""

from collections.abc import Sequence
from itertools import pairwise

PREFIX_LENGTHS = (4, 6)  # letters; a stemmer for the price of a slice

_DIGITS = str.maketrans("123456789", "0" * 9)


def word_terms(words: Sequence[str]) -> list[str]:
    """Turn the words of a paragraph into terms.

    Parameters
    ----------
    words : sequence of str
        In their order, as `service.text.tokenise` finds them.

    Returns
    -------
    list of str
        One term a word.
    """
    return " ".join(words).translate(_DIGITS).split(" ") if words else []


def pair_terms(terms: Sequence[str]) -> list[str]:
    """Join each word term of a paragraph with the next.

    Parameters
    ----------
    terms : sequence of str
        What `word_terms` returned.

    Returns
    -------
    list of str
        One term a pair, in order.
    """
    return [f"{first} {second}" for first, second in pairwise(terms)]


def prefix_terms(terms: Sequence[str]) -> list[str]:
    """Cut the beginnings off the word terms of a paragraph, and mark them with an asterisk.

    Parameters
    ----------
    terms : sequence of str
        What `word_terms` returned.

    Returns
    -------
    list of str
        None, one or two terms a word.
    """
    return [f"{term[:n]}*" for term in terms for n in PREFIX_LENGTHS if len(term) > n]
