"""Measures `geotopics archive` against `geotopics classify`, and reckons what a billion takes.

Run with ``python -m tests.bench.archive`` (``--paragraphs`` and ``--rounds`` change the size). The
paragraphs of the corpus, over and over, are written as one file of JSON Lines for `classify` and as
eight files, of JSON Lines or of Parquet with zstd, for `archive`. Every command is run as a user
runs it, in turns, and the same command on one paragraph is subtracted, so that paragraphs/s are
those of a long run; what a start takes is given beside. Memory is that of the largest process.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from training import corpus

FILES = 8
BILLION = 1_000_000_000
CORES = 64  # of a usual large machine, or a small cluster
_GEOTOPICS = str(Path(sys.executable).parent / "geotopics")


class Way(NamedTuple):
    """A way to tag the paragraphs: arguments of the command, but for the output."""

    name: str
    workers: int
    arguments: list[str]


class Run(NamedTuple):
    """What one run of a command took."""

    seconds: float
    mebibytes: float


def measure(paragraphs: int = 200_000, rounds: int = 3) -> list[dict[str, Any]]:
    """Measure every way.

    Parameters
    ----------
    paragraphs : int, default=200_000
        At least 8.
    rounds : int, default=3
        The ways take turns; medians are reported.

    Returns
    -------
    list of dict
        A row a way: name, workers, paragraphs_per_second, ratio (to the first way), start_seconds,
        peak_mebibytes, bytes_read and bytes_written per paragraph.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        ways = _write(folder / "large", paragraphs)
        starts = _write(folder / "small", 1)
        runs: dict[str, list[Run]] = {way.name: [] for way in ways}
        start: dict[str, list[Run]] = {way.name: [] for way in ways}
        moved = {}
        for _ in range(rounds):
            for way, small in zip(ways, starts, strict=True):
                start[way.name].append(_run(small, folder / "out")[0])
                run, written = _run(way, folder / "out")
                runs[way.name].append(run)
                moved[way.name] = (_size(Path(way.arguments[-1])), written)
    rows: list[dict[str, Any]] = []
    for way in ways:
        began = median(run.seconds for run in start[way.name])
        rate = paragraphs / (median(run.seconds for run in runs[way.name]) - began)
        read, written = moved[way.name]
        rows.append(
            {
                "name": way.name,
                "workers": way.workers,
                "paragraphs_per_second": rate,
                "ratio": rate / (rows[0]["paragraphs_per_second"] if rows else rate),
                "start_seconds": began,
                "peak_mebibytes": max(run.mebibytes for run in runs[way.name]),
                "bytes_read": read / paragraphs,
                "bytes_written": written / paragraphs,
            }
        )
    return rows


def billion(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Reckon what a billion paragraphs take, from the Parquet row with most workers.

    Returns
    -------
    dict
        core_hours; hours on `CORES` cores; gibibytes of memory there; terabytes read and written.
    """
    row = max((row for row in rows if "Parquet" in row["name"]), key=lambda row: row["workers"])
    core_hours = BILLION * row["workers"] / row["paragraphs_per_second"] / 3600
    return {
        "core_hours": core_hours,
        "hours": core_hours / CORES,
        "gibibytes": CORES * row["peak_mebibytes"] / 1024,
        "terabytes_read": BILLION * row["bytes_read"] / 1e12,
        "terabytes_written": BILLION * row["bytes_written"] / 1e12,
    }


def _write(folder: Path, paragraphs: int) -> list[Way]:
    """Write the same paragraphs for each way."""
    (folder / "jsonl").mkdir(parents=True)
    (folder / "parquet").mkdir()
    rows = list(islice(_rows(), paragraphs))
    with (folder / "all.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(map(_line, rows))
    for number in range(min(FILES, paragraphs)):
        part = rows[number::FILES]
        with (folder / "jsonl" / f"{number}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(map(_line, part))
        table = pa.Table.from_pylist(part)
        pq.write_table(table, folder / "parquet" / f"{number}.parquet", compression="zstd")
    ways = [Way("classify, JSON Lines", 1, ["classify", str(folder / "all.jsonl")])]
    for title, kind in (("JSON Lines", "jsonl"), ("Parquet", "parquet")):
        for workers in (1, 2):
            arguments = ["archive", "--workers", str(workers), str(folder / kind)]
            name = f"archive, {title}, {workers} worker{'s' * (workers > 1)}"
            ways.append(Way(name, workers, arguments))
    return ways


def _rows() -> Iterator[dict[str, Any]]:
    texts = [paragraph.text for paragraph in corpus.read([corpus.SHIPPED]).paragraphs]
    return ({"id": number, "text": text} for number, text in enumerate(cycle(texts)))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _run(way: Way, output: Path) -> tuple[Run, int]:
    """Run a command; return what it took and the bytes that it wrote."""
    with TemporaryDirectory(dir=output.parent) as name:
        target = Path(name) / "out"
        archive = way.arguments[0] == "archive"
        command = [_GEOTOPICS, *way.arguments, *([str(target)] if archive else [])]
        with (Path(name) / "stdout").open("wb") as stdout:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        # Also of the processes that it started and waited for.
        return Run(seconds, usage.ru_maxrss / 1024), _size(target if archive else Path(name))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def main() -> None:
    """Print a line a way, and the sum for a billion paragraphs."""
    parser = argparse.ArgumentParser(description="Measure geotopics archive.")
    parser.add_argument("--paragraphs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    rows = measure(**vars(parser.parse_args()))
    print(
        f"{'':32}{'paragraphs/s':>14}{'ratio':>7}{'start':>8}{'memory':>10}"
        f"{'read, B':>10}{'written, B':>12}"
    )
    for row in rows:
        print(
            f"{row['name']:32}{row['paragraphs_per_second']:>14,.0f}{row['ratio']:>7.2f}"
            f"{row['start_seconds']:>6.1f} s{row['peak_mebibytes']:>6.0f} MiB"
            f"{row['bytes_read']:>10.0f}{row['bytes_written']:>12.0f}"
        )
    total = billion(rows)
    print(
        f"A billion paragraphs as Parquet: {total['core_hours']:.1f} core hours, "
        f"{total['hours'] * 60:.0f} minutes on {CORES} cores with {total['gibibytes']:.0f} GiB of "
        f"memory; {total['terabytes_read']:.2f} TB read, "
        f"{total['terabytes_written']:.2f} TB written"
    )


if __name__ == "__main__":
    main()
