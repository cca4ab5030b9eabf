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
from service.errors import GeotopicsError
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
    cells = pa.array([b"\xff", b"", None, TARIFFS.encode(), b"x" * (MAX_LINE_BYTES + 1)])
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


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """An archive that takes a second or two, in eight partitions."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(8):
        rows = [{"id": n, "text": text} for n, text in enumerate(texts * 4)]
        (folder / f"{number}.jsonl").write_bytes(as_json(*rows, {"text": number}))
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    cluster: LocalCluster, large: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    target = tmp_path_factory.mktemp("undisturbed")
    assert archive(cluster, large, target).exit_code == 1
    assert len(content(target)) == 8 * 3 + 1
    return target


def test_after_a_kill_of_the_command_a_second_run_does_the_rest_to_the_same_bytes(
    large: Path, undisturbed: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    geotopics = str(Path(sys.executable).parent / "geotopics")
    command = [geotopics, "archive", "--workers", "1", str(large), str(target)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(target.glob("_done/*")) and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    done = {name: (target / name).stat().st_mtime_ns for name in finished(target)}
    assert 0 < len(done) < 8
    (target / "_writing").mkdir(exist_ok=True)
    (target / "_writing" / "left-by-a-crash").write_bytes(b"half a file")

    again = subprocess.run(command, capture_output=True, text=True, check=False)

    assert again.returncode == 1  # for the rejected rows
    assert f"in {8 - len(done)} files; {len(done)} files were done before." in again.stdout
    assert "Dashboard: http://127.0.0.1:" in again.stderr
    assert {name: (target / name).stat().st_mtime_ns for name in done} == done
    assert content(target) == content(undisturbed)


def finished(target: Path) -> list[str]:
    return [record.stem for record in target.glob("_done/*.json")]


def test_a_killed_worker_costs_one_partition_s_retry(
    large: Path, undisturbed: Path, cluster: LocalCluster, tmp_path: Path, model_store: ModelStore
) -> None:
    version = model_store.current()
    assert version is not None
    output = Output.at(str(tmp_path / "out"), "text", version)
    output.claim()
    partitions = layout.find([str(large)], output).partitions
    with Client(cluster) as client:
        outcomes = run.tag_partitions(client, partitions, output)
        told = [next(outcomes)[1]]
        victim = next(iter(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        root = Path(output.root)
        done = {name: (root / name).stat().st_mtime_ns for name in finished(root)}
        told += [outcome for _, outcome in outcomes]
        assert victim not in client.run(os.getpid).values()
    output.clear()
    assert len(done) < 8
    assert {name: (root / name).stat().st_mtime_ns for name in done} == done
    assert [outcome.failure for outcome in told] == [None] * 8
    assert content(root) == content(undisturbed)


def test_input_and_output_may_be_urls(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/desk/2024/a.jsonl", as_json({"text": TARIFFS}, {"text": ""}))
    memory.pipe("/desk/2025/a.jsonl", as_json({"text": FOOTBALL}))
    (tmp_path / "b.jsonl").write_bytes(as_json({"text": TARIFFS}))
    inputs = ["memory://desk/*/*.jsonl", f"file://{tmp_path}/b.jsonl"]
    with LocalCluster(processes=False, n_workers=1, dashboard_address=None) as threads:
        assert archive(threads, *inputs, "memory://tagged").exit_code == 1
        again = archive(threads, *inputs, "memory://tagged")
    assert again.stdout == "0 paragraphs tagged in 0 files; 3 files were done before.\n"
    assert json.loads(memory.cat_file("/tagged/2024/a.jsonl"))["topics"] == ["trade"]
    assert json.loads(memory.cat_file("/tagged/2025/a.jsonl"))["topics"] == []
    assert json.loads(memory.cat_file("/tagged/b.jsonl"))["topics"] == ["trade"]
    assert json.loads(memory.cat_file("/tagged/_rejected/2024/a.jsonl.jsonl"))["row"] == 2


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["in"], "in/out", "must not lie inside the input"),
        (["in/sub/*.jsonl"], "in/sub/out", "must not lie inside the input"),
        (["in"], "in", "must not lie inside the input"),
        (["in"], "link/out", "must not lie inside the input"),
        (["in/a.jsonl"], "in", "lies inside the output"),
        (["in"], ".", "lies inside the output"),
        (["in"], "other", "did not write"),
        (["in"], "other/mine.txt", "did not write"),
        (["in"], "out*", "reads as a pattern"),
        (["in", "in/sub"], "out", "would both be written to b.jsonl"),
        (["other"], "out", "holds no Parquet, JSON Lines or CSV file"),
        (["in/*.zip"], "out", "holds no Parquet, JSON Lines or CSV file"),
        (["in/../_done"], "out", "does not exist"),
        (["nowhere://in"], "out", "cannot be opened"),
    ],
)
def test_what_could_overwrite_or_find_nothing_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: list[str], output: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    for name in ("in/a.jsonl", "in/b.jsonl", "in/sub/b.jsonl"):
        Path(name).write_bytes(as_json({"text": TARIFFS}))
    Path("other").mkdir()
    Path("other/mine.txt").write_text("mine")
    Path("link").symlink_to("in")
    before = content(tmp_path)
    done = CliRunner().invoke(main, ["archive", *inputs, output])
    assert done.exit_code == 1
    assert message in done.stderr
    assert content(tmp_path) == before


def test_links_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_bytes(as_json({"text": TARIFFS}))
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.jsonl", ".b.jsonl", "_c.jsonl", "d.parquet.gz"):
        (source / name).write_bytes(as_json({"text": TARIFFS}))
    (source / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (source / "folder").symlink_to(tmp_path)
    found = layout.find([str(source)], Output.at(str(tmp_path / "out"), "text", "0123456789ab"))
    assert [partition.name for partition in found.partitions] == ["a.jsonl"]
    assert f"{source}/_c.jsonl" in found.left_out


def test_a_scheduler_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(as_json({"text": TARIFFS}))
    monkeypatch.setattr(run, "_CONNECT_SECONDS", 0.5)
    done = CliRunner().invoke(
        main,
        ["archive", "--scheduler", "tcp://127.0.0.1:9", f"{tmp_path}/a.jsonl", f"{tmp_path}/out"],
    )
    assert done.exit_code == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr


def test_workers_without_the_model_are_found_out_before_any_partition(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    output = Output.at(str(tmp_path / "out"), "text", "0123456789ab")
    with Client(cluster) as client, pytest.raises(GeotopicsError, match="0123456789ab"):
        next(run.tag_partitions(client, [], output))


def test_without_dask_the_command_says_how_to_get_it() -> None:
    script = """
import sys
sys.modules |= dict.fromkeys(["dask", "distributed", "fsspec", "pandas", "pyarrow"])
from service.cli import main
main(["archive", "in", "out"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "install it with `make archive`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dask_dataframe_gets_tags_of_the_announced_types(
    classifier: Classifier, texts: list[str], tmp_path: Path
) -> None:
    some = [*texts[:50], None, " "]
    plain = pd.DataFrame({"body": some, "primary": "stale"}, index=range(100, 152))
    frame = tag(dd.from_pandas(plain, npartitions=3), "body")
    with dask.config.set(scheduler="synchronous"):
        tagged = frame.compute()
        frame.to_parquet(tmp_path / "tagged", write_index=False)
    assert list(tagged.dtypes) == list(frame.dtypes)
    assert list(tagged.index) == list(plain.index)
    assert list(tagged.columns) == ["body", "primary", "topics", "scores"]
    results = classifier.classify(texts[:50])
    assert [tuple(topics) for topics in tagged.topics[:50]] == [one.topics for one in results]
    assert tagged.primary.isna().tolist() == [one.primary is None for one in results] + [True] * 2
    assert tagged.scores.isna().tolist() == [False] * 50 + [True] * 2
    stored = pq.read_table(tmp_path / "tagged")
    assert set(stored["scores"].to_pylist()[0]) == set(TOPICS)


def test_a_dask_dataframe_without_the_column_is_refused() -> None:
    frame = dd.from_pandas(pd.DataFrame({"body": [TARIFFS]}), npartitions=1)
    with pytest.raises(ArchiveError, match="no column 'text', only body"):
        tag(frame)
