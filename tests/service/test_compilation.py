import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import service
from service.store import ModelStore

CLASSIFY = """
import sys
from pathlib import Path
from service import Classifier
print(Classifier.load(Path(sys.argv[1])).classify(["Tariffs on steel were raised."]))
print("numba" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a copy of the service in which nothing has been compiled."""
    shutil.copytree(
        Path(str(service.__file__)).parent,
        tmp_path / "service",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


def start(models: Path, folder: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLASSIFY, models],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """Return what a process says, and whether it has compiled."""
    output, errors = process.communicate()
    answer, compiled, _ = output.split("\n")
    assert errors.count("\n") == ("compiling for this machine" in errors) == (compiled == "True")
    assert "topics=('trade',)" in answer
    return answer, compiled == "True"


def test_processes_that_start_together_compile_side_by_side_and_later_ones_not_at_all(
    model_store: ModelStore, folder: Path
) -> None:
    together = [start(model_store.root, folder) for _ in range(2)]
    outcomes = [outcome(process) for process in together]
    assert any(compiled for _, compiled in outcomes)
    outcomes.append(outcome(start(model_store.root, folder)))
    assert not outcomes[-1][1]
    assert len({answer for answer, _ in outcomes}) == 1
    [code] = folder.rglob("*.o")
    code.write_bytes(code.read_bytes()[:-1])  # it is damaged, so it is made anew
    assert outcome(start(model_store.root, folder))[1]
    assert not outcome(start(model_store.root, folder))[1]


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(
    model_store: ModelStore, folder: Path
) -> None:
    nowhere = folder / "service" / "__pycache__"
    nowhere.touch()  # no folder can be made where a file stands
    alone = start(model_store.root, folder, HOME=str(nowhere), PYTHONDONTWRITEBYTECODE="1")
    assert outcome(alone)[1]
    assert not list(folder.rglob("*.o"))
