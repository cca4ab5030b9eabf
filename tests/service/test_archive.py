import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from distributed import Client, LocalCluster

from service.archive import layout, run
from service.archive.frame import tag
from service.archive.layout import ArchiveError, Outcome, Output, Partition
from service.archive.partition import tag_partition
from service.classifier import Classifier
from service.cli import main
from service.records import MAX_LINE_BYTES
from service.store import ModelStore
from service.topics import TOPICS
from training.corpus import Paragraph

TARIFFS = "Exports of copper and soybeans fell after customs doubled the import duty on steel."
FOOTBALL = "The striker scored twice in the second half and the goalkeeper saved a late penalty."


@pytest.fixture(scope="module", autouse=True)
def models(model_store: ModelStore) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOTOPICS_MODELS", str(model_store.root))
        yield


@pytest.fixture(scope="module")
def cluster(models: None) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as local:
        yield local


@pytest.fixture(scope="module")
def texts(paragraphs: Sequence[Paragraph]) -> list[str]:
    return [paragraph.text for paragraph in paragraphs]


def archive(cluster: LocalCluster, *arguments: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["archive", "--scheduler", cluster.scheduler_address, *map(str, arguments)]
    )


def as_json(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_compressed(path: Path, data: bytes) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as stream:
        stream.write(data)


def read_compressed(path: Path) -> bytes:
    with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
        return bytes(stream.read())


def test_every_format_and_compression_comes_out_as_it_went_in(
    cluster: LocalCluster, classifier: Classifier, texts: list[str], tmp_path: Path
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    some = texts[:200]
    lines = as_json(*({"id": n, "text": text} for n, text in enumerate(some)))
    table = io.StringIO()
    csv.writer(table).writerows([("id", "text"), *enumerate(some)])
    (source / "a.jsonl").write_bytes(lines)
    (source / "b.ndjson.gz").write_bytes(gzip.compress(lines[:9000]) + gzip.compress(lines[9000:]))
    write_compressed(source / "sub" / "c.jsonl.zst", lines)
    (source / "sub" / "d.CSV").write_text(table.getvalue(), "utf-8")
    (source / "sub" / "e.csv.gz").write_bytes(gzip.compress(table.getvalue().encode()))
    arrow = pa.table({"text": some, "id": range(200), "scores": ["stale"] * 200})
    pq.write_table(arrow, source / "f.parquet", compression="zstd", row_group_size=60)
    pq.write_table(arrow, source / "sub" / "g.parquet", compression="none", use_dictionary=["text"])

    done = archive(cluster, source, target)

    assert (done.exit_code, done.stdout) == (
        0,
        "1,400 paragraphs tagged in 7 files; 0 files were done before.\n",
    )
    results = classifier.classify(some)
    for tagged in (
        (target / "a.jsonl").read_bytes(),
        gzip.decompress((target / "b.ndjson.gz").read_bytes()),
        read_compressed(target / "sub" / "c.jsonl.zst"),
    ):
        rows = [json.loads(line) for line in tagged.splitlines()]
        assert [row["id"] for row in rows] == list(range(200))
        assert [tuple(row["topics"]) for row in rows] == [result.topics for result in results]
        assert [row["primary"] for row in rows] == [result.primary for result in results]
    for tagged in (
        (target / "sub" / "d.CSV").read_bytes(),
        gzip.decompress((target / "sub" / "e.csv.gz").read_bytes()),
    ):
        cells = list(csv.DictReader(io.StringIO(tagged.decode(), newline="")))
        assert [row["text"] for row in cells] == some
        assert [row["topics"] for row in cells] == [";".join(result.topics) for result in results]
    for name, codec in (("f.parquet", "ZSTD"), ("sub/g.parquet", "UNCOMPRESSED")):
        file = pq.ParquetFile(target / name)
        assert file.metadata.row_group(0).column(0).compression == codec
        assert file.schema_arrow.names == ["text", "id", "topics", "primary", "scores"]
        rows = file.read().to_pylist()
        assert [row["text"] for row in rows] == some
        assert [tuple(row["topics"]) for row in rows] == [result.topics for result in results]
        assert [row["scores"]["trade"] for row in rows] == pytest.approx(
            [result.scores["trade"] for result in results], abs=1e-6
        )


def test_a_second_run_does_only_what_was_added(cluster: LocalCluster, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "a.jsonl").write_bytes(as_json({"text": TARIFFS}))
    assert archive(cluster, source, target).exit_code == 0
    before = content(target)
    stamp = (target / "a.jsonl").stat()

    idle = archive(cluster, source, target)
    assert idle.stdout == "0 paragraphs tagged in 0 files; 1 files were done before.\n"
    assert idle.stderr == ""

    (source / "b.jsonl").write_bytes(as_json({"text": FOOTBALL}))
    more = archive(cluster, source, target)
    assert more.stdout == "1 paragraphs tagged in 1 files; 1 files were done before.\n"
    assert (target / "a.jsonl").stat() == stamp
    assert before.items() < content(target).items()


@pytest.fixture
def tagged(tmp_path: Path, model_store: ModelStore) -> tuple[Output, Partition]:
    """A partition that has been tagged, with a row that was rejected."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(as_json({"text": TARIFFS}, {"text": 5}))
    version = model_store.current()
    assert version is not None
    output = Output.at(str(tmp_path / "out"), "text", version)
    output.claim()
    [partition] = layout.find([str(tmp_path / "in")], output).partitions
    assert tag_partition(partition, output) == Outcome(tagged=1, rejected=1)
    assert run.look_up([partition], output) == ([Outcome(1, 1)], [])
    return output, partition


@pytest.mark.parametrize("change", ["input", "model", "column", "cut", "removed", "record"])
def test_a_partition_is_tagged_again_when_what_it_was_made_of_or_its_file_has_changed(
    tagged: tuple[Output, Partition], change: str
) -> None:
    output, partition = tagged
    root = Path(output.root)
    if change == "input":
        Path(partition.path).write_bytes(as_json({"text": FOOTBALL}, {"text": 5}))
    elif change == "model":
        output = Output(output.fs, output.root, "text", "0123456789ab")
    elif change == "column":
        output = Output(output.fs, output.root, "body", output.version)
    elif change == "cut":
        (root / "a.jsonl").write_bytes((root / "a.jsonl").read_bytes()[:-1])
    elif change == "removed":
        (root / "a.jsonl").unlink()
    else:
        (root / "_done" / "a.jsonl.json").write_text("[1]")
    [partition] = layout.find([partition.path], output).partitions
    assert run.look_up([partition], output) == ([], [partition])


def test_a_partition_without_rejected_rows_loses_its_old_list(
    tagged: tuple[Output, Partition],
) -> None:
    output, partition = tagged
    listed = Path(output.rejected) / "a.jsonl.jsonl"
    assert listed.exists()
    Path(partition.path).write_bytes(as_json({"text": FOOTBALL}))
    [partition] = layout.find([partition.path], output).partitions
    assert tag_partition(partition, output) == Outcome(tagged=1)
    assert not listed.exists()


def test_bad_rows_are_listed_with_partition_number_and_reason(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    good = as_json({"text": TARIFFS})
    long = b'{"text": "' + b"x" * MAX_LINE_BYTES + b'"}\n'
    (source / "sub" / "a.jsonl").write_bytes(
        good + b"{\n" + as_json({"text": 5}) + b'{"text": "\xff"}\n' + long + good
    )
    cells = pa.array([b"\xff", b"", None, TARIFFS.encode()] + [b"x" * (MAX_LINE_BYTES + 1)])
    pq.write_table(pa.table({"text": cells.view(pa.string())}), source / "b.parquet")

    done = archive(cluster, source, target)

    assert done.exit_code == 1
    assert "8 rows are rejected; see" in done.stderr
    for name, rows in (("sub/a.jsonl", [2, 3, 4, 5]), ("b.parquet", [1, 2, 3, 5])):
        listed = (target / "_rejected" / f"{name}.jsonl").read_text().splitlines()
        rejected = [json.loads(line) for line in listed]
        assert [row["partition"] for row in rejected] == [name] * 4
        assert [row["row"] for row in rejected] == rows
    reasons = " ".join(row["reason"] for row in rejected)
    assert all(word in reasons for word in ("UTF-8", "empty", "not a text", "longer"))
    assert len((target / "sub" / "a.jsonl").read_bytes().splitlines()) == 2
    assert pq.read_table(target / "b.parquet")["text"].to_pylist() == [TARIFFS]

    again = archive(cluster, source, target)
    assert (again.exit_code, again.stdout[:26]) == (1, "0 paragraphs tagged in 0 f")


def test_bad_partitions_are_reported_and_do_not_stop_the_others(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    lines = as_json(*[{"text": TARIFFS, "n": n} for n in range(500)])
    (source / "a.jsonl").write_bytes(lines)
    (source / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-9])
    write_compressed(source / "whole.zst", lines)
    (source / "cut.jsonl.zst").write_bytes((source / "whole.zst").read_bytes()[:-9])
    (source / "no.parquet").write_bytes(lines)
    pq.write_table(pa.table({"body": [TARIFFS]}), source / "column.parquet")
    pq.write_table(pa.table({"text": [1]}), source / "number.parquet")
    (source / "column.jsonl").write_bytes(as_json({"body": TARIFFS}, {"body": FOOTBALL}))
    (source / "column.csv").write_text("a,b\n1,2\n")

    done = archive(cluster, source, target)

    assert done.exit_code == 1
    assert done.stdout == "500 paragraphs tagged in 1 files; 0 files were done before.\n"
    assert f"1 files are left out, such as {source}/whole.zst" in done.stderr
    assert "7 files could not be tagged" in done.stderr
    for name, reason in (
        ("cut.jsonl.gz", "Truncated"),
        ("cut.jsonl.zst", "Truncated"),
        ("no.parquet", "Parquet magic bytes not found"),
        ("column.parquet", "must have a column 'text' once, not body"),
        ("number.parquet", "the column 'text' holds int64"),
        ("column.jsonl", "has no usable row: row 1 has no 'text'"),
        ("column.csv", "must name a column 'text' once"),
    ):
        [line] = [line for line in done.stderr.splitlines() if f"{source}/{name}: " in line]
        assert reason in line
    assert set(content(target)) == {"a.jsonl", "_archive.json", "_done/a.jsonl.json"}
