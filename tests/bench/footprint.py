"""Measures how fast a saved model scores, and the memory that takes, in a process of its own.

Run with ``python -m tests.bench.footprint MODEL TEXTS``. MODEL is an ``.npz`` file of the tables
that the service scores with, or a fitted estimator saved by joblib; TEXTS is a JSON list.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import psutil

WARM_UP = 10  # texts, which compile or load what the first ones need; they are not timed
SECONDS = 3  # to repeat for; the fastest time counts, as whatever else runs can only slow it down


def main() -> None:
    """Print paragraphs per second and megabytes of resident growth as a JSON list."""
    before = psutil.Process().memory_info().rss
    score = _load(Path(sys.argv[1]))
    texts = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    score(texts[:WARM_UP])
    texts = texts[WARM_UP:]
    seconds: list[float] = []
    while sum(seconds) < SECONDS:
        start = time.perf_counter()
        score(texts)
        seconds.append(time.perf_counter() - start)
    growth = psutil.Process().memory_info().rss - before
    print(json.dumps([len(texts) / min(seconds), growth / 1e6]))


def _load(path: Path) -> Callable[[list[str]], object]:
    if path.suffix == ".npz":
        from service.scorer import Scorer  # noqa: PLC0415 - is part of what it costs

        return Scorer(np.load(path)).score
    score: Callable[[list[str]], object] = joblib.load(path).decision_function
    return score


if __name__ == "__main__":
    main()
