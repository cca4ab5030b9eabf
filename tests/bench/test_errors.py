from tests.bench.errors import Decision, confusions, counts


def decision(topic: str, *carried: str, tagged: bool) -> Decision:
    return Decision("file", topic, topic in carried, tagged, 0.1, 20, None, carried)


MADE = [
    decision("diplomacy", "trade", tagged=True),
    decision("diplomacy", "trade", tagged=True),
    decision("diplomacy", tagged=True),
    decision("trade", "trade", tagged=False),
    decision("trade", "trade", tagged=True),
    decision("trade", tagged=False),
]


def test_errors_are_counted_beside_what_they_could_have_been() -> None:
    rows = counts("topic", ["trade", "diplomacy"], MADE, lambda one: one.topic).splitlines()
    assert rows[2:] == ["| trade | 2 | 1 | 1 | 0 |", "| diplomacy | 0 | 0 | 3 | 3 |"]


def test_a_wrong_tag_is_counted_by_what_the_text_carries() -> None:
    rows = confusions(MADE).splitlines()
    assert rows[2:] == ["| diplomacy | trade | 2 |", "| diplomacy | none | 1 |"]
