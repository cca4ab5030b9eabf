import pytest

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
    names = [name for name in STATES if STATES[name] != min(STATES.values())]
    assert len(names) > 400
    assert max(STATES.values()) == len(set(STATES.values()))
