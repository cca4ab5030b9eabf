from importlib import resources

import pytest

from service.text import normalise, tokenise
from training.terms import STATES, state_terms


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        (["talks", "went", "on"], []),
        (["hanoi", "and", "vietnamese", "officials"], ["1 state"]),
        (["moscow", "kyiv", "and", "russia"], ["1 state", "2 states"]),
        (
            ["iran", "iraq", "syria", "oman", "qatar"],
            ["1 state", "2 states", "3 states", "4 states"],
        ),
    ],
)
def test_states_are_counted_once_whatever_they_are_called(
    words: list[str], terms: list[str]
) -> None:
    assert state_terms(words) == terms


def test_no_name_stands_for_two_states() -> None:
    names = (resources.files("training") / "states.txt").read_text("utf-8").split()
    assert len(names) == len(STATES)


def test_every_name_is_a_word_as_texts_are_cut_into() -> None:
    assert [name for name in STATES if tokenise(normalise(name)) != [name]] == []
