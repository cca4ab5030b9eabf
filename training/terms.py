"""The terms of a paragraph: words, pairs of neighbouring words, prefixes, and how many states.

Digits count as zeros, so that 1,200 and 1,500 are the same term.
"""

from collections.abc import Sequence
from importlib import resources
from itertools import pairwise

from service.tables import MOST_STATES, PREFIX_LETTERS

_DIGITS = str.maketrans("123456789", "0" * 9)


def _states() -> dict[str, int]:
    lines = (resources.files("training") / "states.txt").read_text("utf-8").splitlines()
    return {name: number for number, line in enumerate(lines, start=1) for name in line.split()}


# Words that name a state or a body of states, its people, its capital or its government. Numbered
# from 1; all names of one state have one number.
STATES = _states()
STATE_TERMS = ("1 state", *(f"{number} states" for number in range(2, MOST_STATES + 1)))


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

    They are a stemmer for the price of a slice.

    Parameters
    ----------
    terms : sequence of str
        What `word_terms` returned.

    Returns
    -------
    list of str
        None, one or two terms a word.
    """
    return [f"{term[:n]}*" for term in terms for n in PREFIX_LETTERS if len(term) > n]


def state_terms(terms: Sequence[str]) -> list[str]:
    """Say how many different states a paragraph names, as one term for each up to `MOST_STATES`.

    Parameters
    ----------
    terms : sequence of str
        What `word_terms` returned.

    Returns
    -------
    list of str
        "1 state", "2 states" and so on, as far as it goes.
    """
    named = len({STATES[term] for term in terms if term in STATES})
    return list(STATE_TERMS[:named])
