import os
import shutil
import subprocess
import sys
from pathlib import Path

import service
from service.store import ModelStore

CLASSIFY = """
import sys
from pathlib import Path
from service import Classifier
print(Classifier.load(Path(sys.argv[1])).classify(["Tariffs on steel were raised."]))
"""


def start(models: Path, folder: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLASSIFY, models],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_start_together_compile_side_by_side_and_later_ones_not_at_all(
    model_store: ModelStore, tmp_path: Path
) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    together = [start(model_store.root, tmp_path, **cache) for _ in range(2)]
    outputs = [process.communicate() for process in together]
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert compiled
    outputs.append(start(model_store.root, tmp_path, **cache).communicate())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == compiled
    assert [errors for _, errors in outputs] == ["", "", ""]
    assert "topics=('trade',)" in outputs[0][0]
    assert len({answer for answer, _ in outputs}) == 1


def test_where_nothing_can_be_cached_it_is_compiled_at_every_start(
    model_store: ModelStore, tmp_path: Path
) -> None:
    package = tmp_path / "service"
    shutil.copytree(
        Path(str(service.__file__)).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in (package, tmp_path):  # no folder can be made where a file stands
        (folder / "__pycache__").touch()
    nowhere = str(tmp_path / "__pycache__")
    process = start(
        model_store.root,
        tmp_path,
        **dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), nowhere),
        PYTHONDONTWRITEBYTECODE="1",
    )
    answer, errors = process.communicate()
    assert errors == ""
    assert "topics=('trade',)" in answer
    assert not list(tmp_path.rglob("*.nb?"))
