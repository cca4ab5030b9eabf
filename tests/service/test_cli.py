import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.store import ModelStore
from service.topics import TOPICS

TARIFFS = "Exports of copper and soybeans fell after customs doubled the import duty on steel."
FOOTBALL = "The striker scored twice in the second half and the goalkeeper saved a late penalty."

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(model_store: ModelStore) -> Run:
    """Run the command as a user does, in a process of its own."""

    def geotopics(
        *arguments: str | Path, stdin: bytes = b"", models: Path = model_store.root
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [Path(sys.executable).parent / "geotopics", *arguments],
            input=stdin,
            capture_output=True,
            env=os.environ | {"GEOTOPICS_MODELS": str(models)},
            check=False,
        )

    return geotopics


def test_json_lines_are_tagged_and_other_keys_kept(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_text(
        json.dumps({"id": 7, "text": TARIFFS, "süß": True})
        + "\n\n"
        + json.dumps({"text": FOOTBALL, "topics": ["stale"]})
    )
    done = run("classify", path)
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["id"] == 7
    assert first["süß"] is True
    assert first["topics"] == ["trade"]
    assert first["primary"] == "trade"
    assert set(first["scores"]) == set(TOPICS)
    assert (second["topics"], second["primary"]) == ([], None)


def test_csv_is_tagged_by_the_chosen_column(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "news.csv"
    path.write_text(f'\ufeffn,body\r\n1,"{TARIFFS}\r\n(second line)"\r\n2,{FOOTBALL}\r\n')
    done = run("classify", "--column", "body", path)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("n,body,topics,primary,score_defense,score_trade,")
    assert '(second line)",trade,trade,' in lines[2]
    assert f"2,{FOOTBALL},,," in lines[3]


def test_plain_text_from_a_pipe_has_one_paragraph_a_line(run: Run) -> None:
    done = run("classify", stdin=f"{TARIFFS}\n\n{FOOTBALL}".encode())
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [TARIFFS, FOOTBALL]


@pytest.mark.parametrize("form", ["jsonl", "csv", "text"])
def test_a_pipe_is_answered_line_by_line_while_it_is_fed(
    model_store: ModelStore, form: str
) -> None:
    with subprocess.Popen(
        [Path(sys.executable).parent / "geotopics", "classify", "--from", form, "--to", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"GEOTOPICS_MODELS": str(model_store.root)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"text,id\n" if form == "csv" else b"")
        for number in range(3):
            record = {"jsonl": f'{{"text": "x", "id": {number}}}', "csv": f"x,{number}"}
            # The blank line gives no record; the one before it must not wait behind it.
            process.stdin.write(f"{record.get(form, 'x')}\n\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == "x"
        process.stdin.close()
        assert process.wait() == 0


def test_a_lone_surrogate_and_a_long_number_come_out_as_they_came_in(run: Run) -> None:
    record = rb'{"text": "x", "half": "\ud800", "number": 123456789012345678901234567890}'
    done = run("classify", stdin=record)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {
        key: value for key, value in json.loads(done.stdout).items() if key in {"half", "number"}
    } == {"half": "\ud800", "number": 123456789012345678901234567890}


def test_paragraphs_of_plain_text_may_be_parted_by_blank_lines(run: Run) -> None:
    first, second = TARIFFS.split(" after ")
    done = run("classify", "--blank-lines", "-", stdin=f"{first}\nafter {second}\n\nx\n".encode())
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [TARIFFS, "x"]


def test_bad_records_are_named_and_left_out_and_the_exit_code_tells(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "news.jsonl"
    good = json.dumps({"text": TARIFFS}).encode()
    bad = [b"{", b"[1]", b'{"body": ""}', b'{"text": 5}', b'{"text": " "}', b'{"text": "\xff"}']
    bad.append(b'{"text": "x", "n": NaN}')
    path.write_bytes(b"\n".join([*bad, b"[" * 100_000, good]))
    done = run("classify", "--from", "jsonl", path)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    reasons = done.stderr.decode().splitlines()
    assert [reason.split(": ")[0] for reason in reasons] == [f"{path}:{n}" for n in range(1, 9)]
    for reason, words in zip(
        reasons,
        ["JSON", "object", "no 'text'", "not a text", "empty", "UTF-8", "NaN", "JSON"],
        strict=True,
    ):
        assert words in reason


def test_a_field_of_a_table_may_be_long(run: Run) -> None:
    done = run("classify", "--from", "csv", stdin=b"text\n" + b"tanks " * 40_000 + b"\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) > 240_000


def test_bad_rows_of_a_table_are_named(run: Run) -> None:
    table = f'n,text\n1\n2,{TARIFFS}\n\xff,x\n3,"open\n'.encode("latin-1")
    done = run("classify", "--from", "csv", stdin=table)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert b"-:2: has 1 columns" in done.stderr
    assert b"-:4: is not UTF-8" in done.stderr
    assert b"-:5: is not CSV" in done.stderr


def test_a_table_without_the_column_is_refused(run: Run) -> None:
    done = run("classify", "--from", "csv", "--column", "body", stdin=b"a,b\n1,2\n")
    assert done.returncode == 1
    assert b"must name a column 'body' once, not 'a', 'b'" in done.stderr


def test_a_named_pipe_is_read(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/sh", "-c", f"echo '{FOOTBALL}' > {pipe}"]):
        done = run("classify", pipe)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["text"] == FOOTBALL


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", '[{"text": "x"}]'), ("a.tsv", "id\ttext\n"), ("a", '\n[{"text": "x"}]')],
)
def test_a_format_that_is_not_read_is_refused_instead_of_tagged(
    run: Run, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    done = run("classify", tmp_path / name)
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"{tmp_path / name} is of no format that is read here".encode() in done.stderr


def test_json_lines_after_a_byte_order_mark_are_told_from_text(run: Run) -> None:
    done = run("classify", stdin=b'\xef\xbb\xbf{"text": "x", "id": 1}\n')
    assert json.loads(done.stdout)["id"] == 1


def test_a_record_with_a_new_key_does_not_fit_into_csv(run: Run) -> None:
    done = run("classify", "--to", "csv", stdin=b'{"text": "x"}\n{"text": "y", "id": 1}\n')
    assert done.returncode == 1
    assert b"-:2: the first record had no id; try --to jsonl" in done.stderr


def test_a_line_of_a_gigabyte_would_be_left_out_as_one_of_17_megabytes_is(run: Run) -> None:
    done = run("classify", stdin=b"x" * 17 * 1024 * 1024 + b"\n" + TARIFFS.encode())
    assert done.returncode == 1
    assert b"-:1: is longer than" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_closed_pipe_ends_quietly(model_store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "news.txt"
    path.write_text(f"{TARIFFS}\n" * 5000)
    with subprocess.Popen(
        [Path(sys.executable).parent / "geotopics", "classify", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"GEOTOPICS_MODELS": str(model_store.root)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("path", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(run: Run, path: str) -> None:
    done = run("classify", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {path}: ".encode())
    assert b"Traceback" not in done.stderr


def test_without_a_model_every_command_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    for command in (["classify"], ["models"], ["models", "check"], ["models", "rollback"]):
        done = run(*command, models=tmp_path)
        assert done.returncode == 1
        assert b"Error: there is no " in done.stderr


def test_a_damaged_model_is_refused_with_advice(
    run: Run, model_store: ModelStore, tmp_path: Path
) -> None:
    version = model_store.current()
    assert version is not None
    damaged = tmp_path / "models"
    (damaged / version).mkdir(parents=True)
    for path in model_store.folder(version).iterdir():
        if path.is_file():
            (damaged / version / path.name).write_bytes(path.read_bytes()[:-1])
    (damaged / "current").write_text(version)
    done = run("classify", stdin=TARIFFS.encode(), models=damaged)
    assert done.returncode == 1
    assert f"of model {version} is not what training wrote".encode() in done.stderr
    assert b"make train" in done.stderr


def test_models_are_listed_with_the_current_one_marked(run: Run, model_store: ModelStore) -> None:
    done = run("models")
    assert done.returncode == 0
    assert f"* {model_store.current()}" in done.stdout.decode()


def test_a_wrong_setting_stops_with_its_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOTOPICS_PORT", "many")
    done = run("models")
    assert done.returncode == 1
    assert b"GEOTOPICS_PORT" in done.stderr


@pytest.mark.parametrize(
    "command", ["classify", "archive", "train", "evaluate", "measure", "corpus", "serve"]
)
def test_the_help_of_every_command_has_an_example(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"geotopics {command}" in done.stdout.decode().split("Example", 1)[1]
