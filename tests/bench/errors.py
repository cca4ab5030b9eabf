"""Counts the errors of the current model on labelled texts by kind, and shows none of the texts.

Run with ``python -m tests.bench.errors FOLDER``, on a folder such as `tests.bench.devset` reads.
Topics on which readers differed are not counted for their item. `training/ERRORS.md` says what
stands behind the counts.
"""

import sys
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from service.classifier import Classifier
from service.topics import TOPICS
from tests.bench.devset import Sample, read, tag

WORDS = (15, 30, 50)  # bounds between the classes of length
DISTANCES = (0.1, 0.3)  # bounds between the classes of distance, in probability


@dataclass(frozen=True)
class Decision:
    """What the model says of one topic of one item, where readers agreed.

    Attributes
    ----------
    file : str
    topic : str
    label, tagged : bool
        Whether the item carries the topic, and whether it was given.
    distance : float
        Between probability and threshold.
    words : int
    primary : str or None
    carried : tuple of str
        All topics of the item.
    """

    file: str
    topic: str
    label: bool
    tagged: bool
    distance: float
    words: int
    primary: str | None
    carried: tuple[str, ...]


def decisions(classifier: Classifier, samples: dict[str, Sample]) -> list[Decision]:
    """Tag every item of every file."""
    found = []
    for file, sample in samples.items():
        probabilities, tags = tag(classifier, sample.texts)
        for row, column in np.argwhere(sample.certain).tolist():
            threshold = classifier.manifest.thresholds[TOPICS[column]]
            found.append(
                Decision(
                    file=file,
                    topic=TOPICS[column],
                    label=bool(sample.labels[row, column]),
                    tagged=bool(tags[row, column]),
                    distance=abs(float(probabilities[row, column]) - threshold),
                    words=len(sample.texts[row].split()),
                    primary=sample.primary[row],
                    carried=tuple(np.array(TOPICS)[sample.labels[row]].tolist()),
                )
            )
    return found


def counts(
    title: str, kinds: Sequence[str], made: Sequence[Decision], kind: Callable[[Decision], str]
) -> str:
    """Count errors by kind as a Markdown table.

    Parameters
    ----------
    title : str
        What the kinds are.
    kinds : sequence of str
        In the order of the rows.
    made : sequence of Decision
    kind : callable
        Names the kind of a decision.

    Returns
    -------
    str
        How often topics were carried and of these missed, and absent and of these given.
    """
    rows = []
    for name in kinds:
        found = Counter((one.label, one.tagged) for one in made if kind(one) == name)
        missed, given = found[True, False], found[False, True]
        rows.append([name, found[True, True] + missed, missed, found[False, False] + given, given])
    return _table([title, "carried", "missed", "absent", "given"], rows)


def confusions(made: Sequence[Decision]) -> str:
    """Count, as a Markdown table, which topics were given where which ones are carried."""
    wrong = [one for one in made if one.tagged and not one.label]
    found = Counter((one.topic, ", ".join(one.carried) or "none") for one in wrong)
    return _table(
        ["given wrongly", "carried", "times"],
        [
            [*pair, times]
            for pair, times in sorted(found.items(), key=lambda row: (-row[1], row[0]))
        ],
    )


def main() -> None:
    """Print the tables."""
    classifier = Classifier.load()
    samples = read(Path(sys.argv[1]))
    made = decisions(classifier, samples)
    lengths, distances = _classes(WORDS), _classes(DISTANCES)
    print(f"Model {classifier.manifest.version}\n")
    for table in (
        counts("topic", TOPICS, made, lambda one: one.topic),
        counts("file", list(samples), made, lambda one: one.file),
        counts("primary topic", [*TOPICS, "none"], made, lambda one: one.primary or "none"),
        counts("words", lengths, made, lambda one: lengths[bisect(WORDS, one.words)]),
        counts(
            "distance of the score from the threshold",
            distances,
            made,
            lambda one: distances[bisect(DISTANCES, one.distance)],
        ),
        confusions(made),
    ):
        print(table, end="\n\n")


def _classes(bounds: Sequence[float]) -> list[str]:
    between = [f"{low} to below {high}" for low, high in pairwise(bounds)]
    return [f"below {bounds[0]}", *between, f"{bounds[-1]} or more"]


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


if __name__ == "__main__":
    main()
