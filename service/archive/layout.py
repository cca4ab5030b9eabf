"""Which files an archive is made of, and where what becomes of each of them is written.

A partition is one file of the input. Its name is its path below the input's folder, and the tagged
archive keeps it::

    OUTPUT/
        <name>                  the tagged partition, in the same format and compression
        _rejected/<name>.jsonl  rows that could not be used: partition, row and reason
        _done/<name>.json       what the partition was made from, written last of the three
        _archive.json           says that the folder is ours, so that no other is written into
        _writing/               what is being written; gone when a run ends

A partition is done when its record in ``_done`` speaks of the same input, model and column, and the
tagged file has the size recorded. That is also what a run after a crash goes by: everything else is
made again, whatever was left of it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, Self
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.core import has_magic, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from service.errors import GeotopicsError

Form = Literal["parquet", "jsonl", "csv"]
Compression = Literal["gzip", "zstd"]

_FORMS: dict[str, Form] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
_OURS = "_archive.json"
_DONE, _REJECTED, _WRITING = "_done", "_rejected", "_writing"
_ABOUT = {"about": "Written by `geotopics archive`, which replaces what is out of date in here."}


class ArchiveError(GeotopicsError):
    """An archive cannot be read or written as asked."""


class Kind(NamedTuple):
    """How a partition is stored."""

    form: Form
    compression: Compression | None


def kind(name: str) -> Kind | None:
    """Tell by its name how a file is stored; None if it is not read here.

    Other formats are not, nor is anything hidden: a file or folder whose name begins with a dot or
    an underscore. That also keeps a name such as "../x", which an object store may hold, from
    leading out of the output.
    """
    if any(part.startswith((".", "_")) or not part for part in name.split("/")):
        return None
    path = PurePosixPath(name.lower())
    compression = _COMPRESSIONS.get(path.suffix)
    form = _FORMS.get(path.with_suffix("").suffix if compression else path.suffix)
    if form is None or (form == "parquet" and compression):
        return None
    return Kind(form, compression)


@dataclass(frozen=True, slots=True)
class Partition:
    """A file of the input.

    Attributes
    ----------
    name : str
        Its path below the input's folder, with slashes.
    kind : Kind
        How it is stored, and shall be.
    fs : AbstractFileSystem
        Where it is.
    path : str
        Its whole path there.
    size : int
        In bytes.
    fingerprint : str
        Changes when the file does, as far as its file system tells.
    """

    name: str
    kind: Kind
    fs: AbstractFileSystem
    path: str
    size: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a partition.

    Attributes
    ----------
    tagged, rejected : int
        Rows.
    failure : str or None
        Why the partition as a whole could not be tagged.
    """

    tagged: int = 0
    rejected: int = 0
    failure: str | None = None


class Temporary(NamedTuple):
    """Paths to write a partition's files to before they are put in place."""

    tagged: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Output:
    """The folder of a tagged archive, and what it is made with.

    Attributes
    ----------
    fs : AbstractFileSystem
    root : str
        Path of the folder there.
    column : str
        Key or column of the text.
    version : str
        Of the model.
    """

    fs: AbstractFileSystem
    root: str
    column: str
    version: str

    @classmethod
    def at(cls, url: str, column: str, version: str) -> Self:
        """Name the folder by a local path or any URL that fsspec knows; nothing is written yet.

        Raises
        ------
        ArchiveError
            The URL cannot be opened, or is a pattern.
        """
        fs, root = file_system(url)
        if has_magic(root):
            raise ArchiveError(f"{url} reads as a pattern; name the output without *, ? and [")
        return cls(fs, root.rstrip("/"), column, version)

    @property
    def rejected(self) -> str:
        """The folder of the lists of rejected rows."""
        return f"{self.root}/{_REJECTED}"

    def claim(self) -> None:
        """Make the folder, or clear what a killed run was writing in it.

        Raises
        ------
        ArchiveError
            Something stands there that `geotopics archive` did not write.
        """
        if not self.fs.exists(f"{self.root}/{_OURS}"):
            if self.fs.exists(self.root) and (
                not self.fs.isdir(self.root) or self.fs.ls(self.root, detail=False)
            ):
                raise ArchiveError(
                    f"{self.root} holds something that `geotopics archive` did not write; "
                    "name a new or empty folder"
                )
            self.fs.makedirs(self.root, exist_ok=True)
            self.fs.pipe_file(f"{self.root}/{_OURS}", _as_json(_ABOUT))
        self.clear()

    def clear(self) -> None:
        """Remove what is being written."""
        if self.fs.exists(f"{self.root}/{_WRITING}"):
            self.fs.rm(f"{self.root}/{_WRITING}", recursive=True)

    def outcome(self, partition: Partition) -> Outcome | None:
        """Look up what became of a partition; None if it is still to be tagged."""
        try:
            record = json.loads(self.fs.cat_file(self._record(partition.name)))
            outcome = Outcome(record["tagged"], record["rejected"])
            size = self.fs.size(f"{self.root}/{partition.name}")
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None  # never written, or damaged
        return outcome if record == self._recorded(partition, outcome, size) else None

    @contextmanager
    def writing(self) -> Iterator[Temporary]:
        """Give paths to write to; nothing is left there afterwards."""
        # Each attempt has its own: a worker that was given up may still be writing.
        stem = f"{self.root}/{_WRITING}/{uuid4().hex}"
        temporary = Temporary(f"{stem}-tagged", f"{stem}-rejected")
        self.fs.makedirs(f"{self.root}/{_WRITING}", exist_ok=True)
        try:
            yield temporary
        finally:
            for path in temporary:
                _remove(self.fs, path)

    def finish(self, partition: Partition, temporary: Temporary, outcome: Outcome) -> None:
        """Put a partition's files in place and record that it is done."""
        tagged, record = f"{self.root}/{partition.name}", self._record(partition.name)
        rejected = f"{self.rejected}/{partition.name}.jsonl"
        size = self.fs.size(temporary.tagged)
        # The old record goes first: it must not vouch for a new file.
        _remove(self.fs, record)
        _remove(self.fs, rejected)
        self._move(temporary.tagged, tagged)
        if outcome.rejected:
            self._move(temporary.rejected, rejected)
        self.fs.pipe_file(temporary.rejected, _as_json(self._recorded(partition, outcome, size)))
        self._move(temporary.rejected, record)

    def _record(self, name: str) -> str:
        return f"{self.root}/{_DONE}/{name}.json"

    def _recorded(self, partition: Partition, outcome: Outcome, size: int) -> dict[str, object]:
        return {
            "input": partition.fingerprint,
            "model": self.version,
            "column": self.column,
            "tagged": outcome.tagged,
            "rejected": outcome.rejected,
            "bytes": size,
        }

    def _move(self, source: str, target: str) -> None:
        self.fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self.fs.mv(source, target)


class Found(NamedTuple):
    """What lies in the input.

    Attributes
    ----------
    partitions : list of Partition
        By name.
    left_out : list of str
        Paths of files of other kinds, of hidden ones and of links.
    """

    partitions: list[Partition]
    left_out: list[str]


def find(inputs: Sequence[str], output: Output) -> Found:
    """Find the partitions of an archive.

    Parameters
    ----------
    inputs : sequence of str
        Folders, files and patterns, as local paths or any URL that fsspec knows.
    output : Output
        Must not lie inside of them, nor they inside of it.

    Raises
    ------
    ArchiveError
        An input does not exist or holds nothing to tag, or two files have the same name.
    """
    partitions: dict[str, Partition] = {}
    left_out = []
    for given in inputs:
        fs, path = file_system(given)
        root, files = _files(given, fs, path, output)
        usable = 0
        for file in files:
            name = file.removeprefix(root).lstrip("/")
            stored = kind(name)
            if stored is None:
                left_out.append(file)
                continue
            if name in partitions:
                raise ArchiveError(
                    f"{partitions[name].path} and {file} would both be written to {name}; "
                    "name the folder above them instead"
                )
            partitions[name] = Partition(name, stored, fs, file, fs.size(file) or 0, fs.ukey(file))
            usable += 1
        if not usable:
            raise ArchiveError(f"{given} holds no Parquet, JSON Lines or CSV file")
    return Found(sorted(partitions.values(), key=lambda partition: partition.name), left_out)


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Tell the file system of a local path or URL, and the path there.

    Raises
    ------
    ArchiveError
        There is no such file system, or its package is not installed.
    """
    try:
        fs, path = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ArchiveError(f"{url} cannot be opened: {error}") from error
    return fs, path


def _files(given: str, fs: AbstractFileSystem, path: str, output: Output) -> tuple[str, list[str]]:
    """Return the folder that names start at, and the paths of the files."""
    if fs.isfile(path):
        root, files = path.rpartition("/")[0], [path]
    else:
        if fs.isdir(path):
            root, found = path, fs.find(path, detail=True)
        elif has_magic(path):
            root, found = _fixed_part(path), fs.glob(path, detail=True)
        else:
            raise ArchiveError(f"{given} does not exist")
        if _inside(output.fs, output.root, fs, root):
            raise ArchiveError(f"the output must not lie inside the input {given}")
        # A link is no file here: it could lead anywhere.
        files = [name for name, info in found.items() if info["type"] == "file"]
    if any(_inside(fs, file, output.fs, output.root) for file in files):
        raise ArchiveError(f"{given} lies inside the output")
    return root, files


def _fixed_part(pattern: str) -> str:
    parts = pattern.split("/")
    return "/".join(parts[: [*map(has_magic, parts)].index(True)])


def _inside(fs: AbstractFileSystem, path: str, other_fs: AbstractFileSystem, folder: str) -> bool:
    if fs != other_fs:
        return False
    if isinstance(fs, LocalFileSystem):
        path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _remove(fs: AbstractFileSystem, path: str) -> None:
    with suppress(FileNotFoundError):
        fs.rm_file(path)


def _as_json(content: object) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"
