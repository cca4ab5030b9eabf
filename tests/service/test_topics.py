from pathlib import Path

import training
from service.topics import DEFINITIONS, TOPICS, Topic

CODEBOOK = Path(training.__file__).parent / "codebook.md"


def test_definitions_are_those_of_the_codebook() -> None:
    lines = CODEBOOK.read_text("utf-8").splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| `")]

    assert (
        tuple(
            Topic(
                name.strip(" `"),
                carries.strip(),
                does_not_carry.strip(),
                tuple(code.strip() for code in codes.split(";")),
            )
            for name, carries, does_not_carry, codes in rows
        )
        == DEFINITIONS
    )


def test_every_topic_is_defined_in_the_order_of_topics() -> None:
    assert tuple(topic.name for topic in DEFINITIONS) == TOPICS
