"""The terms of a paragraph: its words, their prefixes, and pairs of neighbouring words."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

PREFIX_LENGTHS = (4, 6)  # letters; a stemmer for the price of a slice


def word_terms(word: str) -> list[str]:
    """Terms that one word gives rise to.

    Parameters
    ----------
    word : str
        A word of normalised text.

    Returns
    -------
    list of str
        The word, then its prefixes, marked with an asterisk.
    """
    return [word, *(f"{word[:n]}*" for n in PREFIX_LENGTHS if len(word) > n)]


def pair_term(first: str, second: str) -> str:
    """Return the term of two neighbouring words."""
    return f"{first} {second}"


def terms(words: Sequence[str]) -> Iterator[str]:
    """All terms of a paragraph, as often as they occur.

    Parameters
    ----------
    words : sequence of str
        The words of the paragraph in their order.

    Returns
    -------
    iterator of str
        Terms of the words, then terms of the pairs.
    """
    return chain(
        chain.from_iterable(map(word_terms, words)),
        (pair_term(first, second) for first, second in pairwise(words)),
    )
