"""Measures `geotopics archive` against `geotopics classify`, and reckons what a billion takes.

Run with ``python -m tests.bench.archive`` (``--paragraphs`` and ``--rounds`` change the size). The
paragraphs of the corpus, over and over, are written as one file of JSON Lines for `classify` and as
eight files, of JSON Lines or of Parquet with zstd, for `archive`. The ways take turns and medians
count. All are timed as in a long run: clusters of one and two workers are up and have the model;
what `classify` takes for a single paragraph is subtracted.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client

from service.archive import layout, run
from service.classifier import Classifier
from tests.bench.memory import peak_mib, wait
from tests.bench.rounds import Line, thousands
from training import corpus

FILES = 8
WORKERS = (1, 2)
BILLION = 1_000_000_000
CORES = 64  # of a usual large machine, or a small cluster


class Way(NamedTuple):
    """A way to tag the same paragraphs; one without workers is `classify`."""

    name: str
    source: Path
    workers: int = 0


class Run(NamedTuple):
    """What one run took."""

    seconds: float
    cpu_seconds: float
    mebibytes: float
    bytes_written: int


def measure(paragraphs: int = 50_000, rounds: int = 5) -> list[dict[str, Any]]:
    """Measure every way.

    Parameters
    ----------
    paragraphs : int, default=50_000
    rounds : int, default=5

    Returns
    -------
    list of dict
        A row a way: name, workers (0 for `classify`), paragraphs_per_second, ratio (to
        `classify`), cpu_microseconds a paragraph, peak_mebibytes of one process, bytes_read and
        bytes_written a paragraph.
    """
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        sources = _write(folder, paragraphs)
        ways = [Way("classify, JSON Lines", sources["one.jsonl"])]
        for kind, source in (("JSON Lines", sources["jsonl"]), ("Parquet", sources["parquet"])):
            ways += [Way(f"archive, {kind}, workers: {count}", source, count) for count in WORKERS]
        clients = {count: stack.enter_context(run.cluster(None, count)) for count in WORKERS}
        for way in ways[1:]:
            _archive(clients[way.workers], sources["single"], folder)  # the workers load the model
        runs: dict[str, list[Run]] = {way.name: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                runs[way.name].append(
                    _archive(clients[way.workers], way.source, folder)
                    if way.workers
                    else _classify(way.source, sources["single"], folder)
                )
        read = {way.name: _size(way.source) for way in ways}
    rows: list[dict[str, Any]] = []
    for way in ways:
        took = runs[way.name]
        rate = paragraphs / median(one.seconds for one in took)
        rows.append(
            {
                "name": way.name,
                "workers": way.workers,
                "paragraphs_per_second": rate,
                "ratio": rate / (rows[0]["paragraphs_per_second"] if rows else rate),
                "cpu_microseconds": median(one.cpu_seconds for one in took) / paragraphs * 1e6,
                "peak_mebibytes": max(one.mebibytes for one in took),
                "bytes_read": read[way.name] / paragraphs,
                "bytes_written": took[0].bytes_written / paragraphs,
            }
        )
    return rows


def billion(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Reckon what a billion paragraphs take, from the CPU time of the last row: Parquet, 2 workers.

    Returns
    -------
    dict
        core_hours; hours on `CORES` cores; gibibytes of memory there; terabytes read and written.
    """
    row = rows[-1]
    core_hours = BILLION * row["cpu_microseconds"] / 1e6 / 3600
    return {
        "core_hours": core_hours,
        "hours": core_hours / CORES,
        "gibibytes": CORES * row["peak_mebibytes"] / 1024,
        "terabytes_read": BILLION * row["bytes_read"] / 1e12,
        "terabytes_written": BILLION * row["bytes_written"] / 1e12,
    }


def lines() -> Iterator[Line]:
    """Compare with `classify`, and say what a paragraph takes."""
    rows = measure()
    for row in rows[1:]:
        rate = f"{thousands(row['paragraphs_per_second'])} paragraphs/s"
        name = row["name"].replace("archive", "`geotopics archive`", 1)
        yield Line(f"{name}, against `classify`", row["ratio"], "x", detail=rate)
    yield Line("processor time for a paragraph of Parquet", rows[-1]["cpu_microseconds"], "µs")
    yield Line("peak memory of a worker of an archive", rows[-1]["peak_mebibytes"], "MiB")


def _write(folder: Path, paragraphs: int) -> dict[str, Path]:
    """Write the same paragraphs in every form, and a single one."""
    texts = [paragraph.text for paragraph in corpus.read([corpus.SHIPPED]).paragraphs]
    rows = [
        {"id": number, "text": text} for number, text in enumerate(islice(cycle(texts), paragraphs))
    ]
    names = ("one.jsonl", "jsonl", "parquet", "single")
    paths = {name: folder / name for name in names}
    for name in names[1:]:
        paths[name].mkdir()
    _write_lines(paths["one.jsonl"], rows)
    _write_lines(paths["single"] / "1.jsonl", rows[:1])
    for number in range(FILES):
        # One after the other, so that a file does not repeat a text while the corpus lasts.
        part = rows[number * len(rows) // FILES : (number + 1) * len(rows) // FILES]
        _write_lines(paths["jsonl"] / f"{number}.jsonl", part)
        table = pa.Table.from_pylist(part)
        pq.write_table(table, paths["parquet"] / f"{number}.parquet", compression="zstd")
    return paths


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _classify(source: Path, single: Path, folder: Path) -> Run:
    start = _command(single / "1.jsonl", folder)
    whole = _command(source, folder)
    return whole._replace(
        seconds=whole.seconds - start.seconds, cpu_seconds=whole.cpu_seconds - start.cpu_seconds
    )


def _command(source: Path, folder: Path) -> Run:
    command = [str(Path(sys.executable).parent / "geotopics"), "classify", str(source)]
    target = folder / "tagged.jsonl"
    with target.open("wb") as stdout:
        began = time.perf_counter()
        before = _cpu_of_children()
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        peak = wait(process)
        seconds = time.perf_counter() - began
    return Run(seconds, _cpu_of_children() - before, peak, _size(target))


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _archive(client: Client, source: Path, folder: Path) -> Run:
    with TemporaryDirectory(dir=folder) as target:
        version = Classifier.load().manifest.version
        output = layout.Output.at(target, "text", version)
        output.claim()
        partitions = layout.find([str(source)], output).partitions
        before, _ = _usage(client)
        began = time.perf_counter()
        outcomes = [outcome for _, outcome in run.tag_partitions(client, partitions, output)]
        seconds = time.perf_counter() - began
        after, mebibytes = _usage(client)
        if any(outcome.failure or outcome.rejected for outcome in outcomes):
            raise RuntimeError(f"not everything was tagged: {outcomes}")
        return Run(seconds, after - before, mebibytes, _size(Path(target)))


def _usage(client: Client) -> tuple[float, float]:
    """Return the CPU seconds of all workers and the mebibytes of the largest."""
    used = client.run(_usage_here).values()
    return sum(cpu for cpu, _ in used), max(mebibytes for _, mebibytes in used)


def _usage_here() -> tuple[float, float]:
    return time.process_time(), peak_mib()


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def main() -> None:
    """Print a line a way, and the sum for a billion paragraphs."""
    parser = argparse.ArgumentParser(description="Measure geotopics archive.")
    parser.add_argument("--paragraphs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    rows = measure(**vars(parser.parse_args()))
    titles = f"{'paragraphs/s':>14}{'ratio':>7}{'CPU, us':>9}{'memory':>10}{'read, B':>9}"
    print(f"{'':32}{titles}{'written, B':>12}")
    for row in rows:
        print(
            f"{row['name']:32}{row['paragraphs_per_second']:>14,.0f}{row['ratio']:>7.2f}"
            f"{row['cpu_microseconds']:>9.1f}{row['peak_mebibytes']:>6.0f} MiB"
            f"{row['bytes_read']:>9.0f}{row['bytes_written']:>12.0f}"
        )
    total = billion(rows)
    print(
        f"A billion paragraphs of Parquet: {total['core_hours']:.1f} core hours, "
        f"{total['hours'] * 60:.0f} minutes on {CORES} cores with {total['gibibytes']:.0f} GiB of "
        f"memory; {total['terabytes_read']:.2f} TB read, "
        f"{total['terabytes_written']:.2f} TB written"
    )


if __name__ == "__main__":
    main()
