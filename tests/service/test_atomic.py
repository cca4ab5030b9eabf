import os
from pathlib import Path

import pytest

from service import atomic


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "current"
    atomic.write(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["current"]


def test_a_folder_that_could_not_be_filled_is_gone(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic.temporary_folder(tmp_path) as folder:
            (folder / "part").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_published_folder_has_its_content_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    with atomic.temporary_folder(tmp_path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("whole")
        atomic.publish(folder, tmp_path / "final")
    assert [found.name for found in tmp_path.iterdir()] == ["final"]
    assert (tmp_path / "final" / "inner" / "file").read_text() == "whole"


def test_what_a_killed_run_left_behind_is_removed_a_day_later(tmp_path: Path) -> None:
    old, young = tmp_path / ".writing-old", tmp_path / ".writing-young"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    with atomic.temporary_folder(tmp_path):
        pass
    assert not old.exists()
    assert young.exists()
