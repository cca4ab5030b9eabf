"""Measures the current model on a set of real sentences that lies outside the repository.

Run with ``python -m tests.bench.devset FOLDER``. Each ``*.jsonl`` file in the folder has lines with
``text``, ``topics``, ``uncertain``, the topics on which readers differed, and ``primary``. Topics
that are uncertain are left out of the count for their item: F1 and average precision are per topic
over the items where it is certain, micro-F1 is over all of those, and the last line is the mean
over the files.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from service.classifier import Classifier
from service.topics import TOPICS

Marks = NDArray[np.bool_]  # of shape (n_items, n_topics)


@dataclass(frozen=True)
class Sample:
    """The items of one file.

    Attributes
    ----------
    texts : list of str
    labels : ndarray of bool, shape (n_items, n_topics)
    certain : ndarray of bool, shape (n_items, n_topics)
        Where readers did not differ.
    primary : list of str or None
    """

    texts: list[str]
    labels: Marks
    certain: Marks
    primary: list[str | None]


def read(folder: Path) -> dict[str, Sample]:
    """Read every ``*.jsonl`` file of a folder, by name without extension."""
    return {path.stem: _sample(path) for path in sorted(folder.glob("*.jsonl"))}


def score(sample: Sample, probabilities: NDArray[np.float64], tags: Marks) -> NDArray[np.float64]:
    """Compare with the labels what a model says.

    Parameters
    ----------
    sample : Sample
    probabilities : ndarray of shape (n_items, n_topics)
    tags : ndarray of bool, shape (n_items, n_topics)

    Returns
    -------
    ndarray of shape (2 + 2 * n_topics,)
        Micro-F1, macro average precision, then F1 and average precision per topic.
    """
    micro = f1_score(sample.labels[sample.certain], tags[sample.certain])
    f1, average_precision = [], []
    for column in range(len(TOPICS)):
        certain = sample.certain[:, column]
        label = sample.labels[certain, column]
        f1.append(f1_score(label, tags[certain, column]))
        average_precision.append(average_precision_score(label, probabilities[certain, column]))
    return np.array([micro, np.mean(average_precision), *f1, *average_precision])


def tag(classifier: Classifier, texts: list[str]) -> tuple[NDArray[np.float64], Marks]:
    """Give the scores and the tags of texts, each of shape (n_texts, n_topics)."""
    results = classifier.classify(texts)
    scores = np.array([[result.scores[topic] for topic in TOPICS] for result in results])
    return scores, _marks(result.topics for result in results)


def main() -> None:
    """Print a line a file and the mean."""
    classifier = Classifier.load()
    titles = ["micro-F1", "AP", *(f"F1 {t[:9]}" for t in TOPICS), *(f"AP {t[:9]}" for t in TOPICS)]
    print(f"{'model ' + classifier.manifest.version:30}" + "".join(f"{t:>14}" for t in titles))
    rows = {
        name: score(sample, *tag(classifier, sample.texts))
        for name, sample in read(Path(sys.argv[1])).items()
    }
    rows["mean"] = np.mean(list(rows.values()), axis=0)
    for name, values in rows.items():
        print(f"{name:30}" + "".join(f"{value:14.3f}" for value in values))


def _sample(path: Path) -> Sample:
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return Sample(
        [item["text"] for item in items],
        _marks(item["topics"] for item in items),
        ~_marks(item["uncertain"] for item in items),
        [item["primary"] for item in items],
    )


def _marks(topics: Iterable[Iterable[str]]) -> Marks:
    return np.array([[topic in carried for topic in TOPICS] for carried in map(set, topics)])


if __name__ == "__main__":
    main()
