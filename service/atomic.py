"""Writes files and folders so that a reader sees the old content or the new, never a part."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITING = ".writing-"
_LEFTOVER_SECONDS = 24 * 60 * 60


def write(path: Path, content: bytes) -> None:
    """Replace a file's content in one step.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    content : bytes
        The new content.

    Raises
    ------
    OSError
        The content could not be written, on a full disk for example; the old file is untouched.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; what stands in models/ is for every user of the machine.
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder to fill and then to `publish`; it is gone afterwards if that did not happen.

    Parameters
    ----------
    parent : Path
        Where the folder shall stand in the end.

    Yields
    ------
    Path
        An empty folder beside it, whose name starts with a dot.
    """
    for leftover in parent.glob(f"{_WRITING}*"):
        # A killed run could not clean up; a living one touched its folder lately.
        if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=_WRITING, dir=parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(temporary: Path, final: Path) -> None:
    """Make a filled temporary folder appear whole under its final name.

    Parameters
    ----------
    temporary : Path
        What `temporary_folder` gave.
    final : Path
        Beside it; must not exist.

    Raises
    ------
    OSError
        Something could not be written, or `final` exists.
    """
    for path in sorted(temporary.rglob("*")):
        if path.is_dir():
            _sync_folder(path)
        else:
            _sync_file(path)
    _sync_folder(temporary)
    temporary.chmod(0o755)
    temporary.rename(final)
    _sync_folder(final.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
