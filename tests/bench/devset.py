"""Measures the current model on a set of real sentences that lies outside the repository.

Run with ``python -m tests.bench.devset FOLDER``. Each ``*.jsonl`` file in the folder has lines with
``text``, ``topics`` and ``uncertain``, the topics on which readers differed. Those are left out of
the count for their item: F1 and average precision are per topic over the items where it is certain,
micro-F1 is over all of those, and the last line is the mean over the files.
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from service.classifier import Classifier
from service.topics import TOPICS


def measure(classifier: Classifier, path: Path) -> NDArray[np.float64]:
    """Score one file.

    Parameters
    ----------
    classifier : Classifier
    path : Path
        JSON Lines.

    Returns
    -------
    ndarray of shape (2 + 2 * n_topics,)
        Micro-F1, macro average precision, then F1 and average precision per topic.
    """
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    results = classifier.classify([item["text"] for item in items])
    pooled: list[tuple[bool, bool]] = []
    f1, average_precision = [], []
    for topic in TOPICS:
        certain = [
            (topic in item["topics"], topic in result.topics, result.scores[topic])
            for item, result in zip(items, results, strict=True)
            if topic not in item["uncertain"]
        ]
        label, predicted, score = zip(*certain, strict=True)
        f1.append(f1_score(label, predicted))
        average_precision.append(average_precision_score(label, score))
        pooled += zip(label, predicted, strict=True)
    micro = f1_score(*zip(*pooled, strict=True))
    return np.array([micro, np.mean(average_precision), *f1, *average_precision])


def main() -> None:
    """Print a line a file and the mean."""
    classifier = Classifier.load()
    titles = ["micro-F1", "AP", *(f"F1 {t[:9]}" for t in TOPICS), *(f"AP {t[:9]}" for t in TOPICS)]
    print(f"{'model ' + classifier.manifest.version:30}" + "".join(f"{t:>14}" for t in titles))
    rows = {
        path.stem: measure(classifier, path) for path in sorted(Path(sys.argv[1]).glob("*.jsonl"))
    }
    rows["mean"] = np.mean(list(rows.values()), axis=0)
    for name, values in rows.items():
        print(f"{name:30}" + "".join(f"{value:14.3f}" for value in values))


if __name__ == "__main__":
    main()
