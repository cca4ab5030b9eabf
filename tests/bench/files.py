"""Speed and memory of `geotopics classify` on JSON Lines files of 100 MB and 1 GB."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.scorer import Scorer
from service.store import ModelStore
from tests.bench.memory import wait
from tests.bench.rounds import ROUNDS, Line, thousands
from training.corpus import Paragraph

_SMALL, _LARGE = 100_000_000, 1_000_000_000  # bytes
_COPIES = 20  # of the corpus that the scorer alone is timed with


def command_line(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Compare the command line with the scorer alone, starting and stopping included."""
    texts = [paragraph.text for paragraph in paragraphs]
    scorer = Scorer(store.load_arrays(str(store.current()))[1])
    records = b"".join(
        json.dumps({"id": number, "text": text}, ensure_ascii=False).encode() + b"\n"
        for number, text in enumerate(texts)
    )

    def alone() -> float:
        start = time.perf_counter()
        for _ in range(_COPIES):
            scorer.score(texts)
        return _COPIES * len(texts) / (time.perf_counter() - start)

    shares, rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "news.jsonl"
        n_records = _write(path, records, len(texts), _SMALL)
        for _ in range(ROUNDS):
            by_itself = alone()
            seconds, _memory = _classify(path, store)
            rates.append(n_records / seconds)
            shares.append(100 * rates[-1] / by_itself)
        yield Line(
            "`geotopics classify`, 100 MB, against the scorer alone",
            statistics.median(shares),
            "%",
            30,
            60,
            f"{thousands(statistics.median(rates))} paragraphs/s",
        )
        n_records = _write(path, records, len(texts), _LARGE)
        before = alone()
        seconds, memory = _classify(path, store)
        by_itself = (before + alone()) / 2
        yield Line(
            "`geotopics classify`, 1 GB, against the scorer alone",
            100 * n_records / seconds / by_itself,
            "%",
            30,
            60,
            f"{thousands(n_records / seconds)} paragraphs/s, once",
        )
        yield Line("`geotopics classify`, 1 GB, peak memory", memory, "MiB", 300, 300, below=True)


def _write(path: Path, records: bytes, n_records: int, size: int) -> int:
    copies = size // len(records)
    with path.open("wb") as file:
        for _ in range(copies):
            file.write(records)
    return copies * n_records


def _classify(path: Path, store: ModelStore) -> tuple[float, float]:
    """Return seconds and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [Path(sys.executable).parent / "geotopics", "classify", path],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"GEOTOPICS_MODELS": str(store.root)},
    )
    peak = wait(process)
    return time.perf_counter() - start, peak
