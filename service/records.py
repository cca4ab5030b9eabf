"""Reads texts from files a record at a time, and writes them with their tags.

A record is a dictionary with the text under one key; everything else in it is kept. Reading yields,
in the place of a record that cannot be used, what is wrong with it, so that one bad line does not
end a long run.
"""

import codecs
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TextIO

import msgspec

from service.classifier import Result
from service.errors import GeotopicsError
from service.lines import batches

Format = Literal["jsonl", "csv", "text"]
Record = dict[str, Any]

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".txt": "text",
}
_OTHERS = frozenset({".json", ".tsv"})
MAX_LINE_BYTES = 16 * 1024 * 1024  # no paragraph is longer; bounds the memory that a line takes
_BLOCK_BYTES = 65_536


class RecordError(GeotopicsError):
    """A file whose records cannot be told."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """What is wrong with a record that cannot be used, worded to follow its place."""

    reason: str


Numbered = tuple[int, Record | BadRecord]  # the line it starts at, counted from 1
Lines = Iterator[tuple[int, str | BadRecord]]


def guess_format(file: Path, stream: BufferedReader) -> Format:
    """Tell a file's format by its extension, or else by its first character.

    Parameters
    ----------
    file : Path
        Its name.
    stream : BufferedReader
        Its content, of which nothing is consumed.

    Raises
    ------
    RecordError
        It is JSON but not JSON Lines, or a table without commas.
    """
    suffix = file.suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    start = stream.peek(1).removeprefix(codecs.BOM_UTF8).lstrip()
    if suffix in _OTHERS or start.startswith(b"["):
        raise RecordError(
            f"{file} is of no format that is read here: JSON Lines, CSV with commas or plain text; "
            "convert it, or say which it is with --from"
        )
    return "jsonl" if start.startswith(b"{") else "text"


def read(
    stream: BufferedReader,
    form: Format,
    column: str,
    *,
    blank_lines: bool = False,
    before_wait: Callable[[], None] = lambda: None,
) -> Iterator[Numbered]:
    """Read records.

    Parameters
    ----------
    stream : BufferedReader
        UTF-8.
    form : {"jsonl", "csv", "text"}
    column : str
        Key or column that holds the text; ignored for plain text, whose key is "text".
    blank_lines : bool, default=False
        Whether paragraphs of plain text are parted by blank lines instead of line ends.
    before_wait : callable, optional
        Is called whenever all records that were at hand have been given and the next have to be
        waited for. Until then they may be gathered.

    Yields
    ------
    line : int
        Where the record starts, counted from 1.
    record : dict or BadRecord
        The text of a usable one is a string with at least one visible character.
    """
    lines = _lines(stream, before_wait)
    if form == "jsonl":
        found = _read_json_lines(lines)
    elif form == "csv":
        found = _read_csv(_decoded(lines), column)
    else:
        found = (_read_blocks if blank_lines else _read_lines)(_decoded(lines))
    for line, record in found:
        yield line, record if isinstance(record, BadRecord) else _checked(record, column)


def tagged(record: Record, result: Result) -> Record:
    """Add topics, primary and scores to a record; keys of these names are replaced."""
    return {
        **record,
        "topics": result.topics,
        "primary": result.primary,
        "scores": result.scores,
    }


class Writer(Protocol):
    """Writes tagged records to a text stream in UTF-8."""

    def write(self, record: Record) -> None:
        """Write one record.

        Raises
        ------
        ValueError
            The record has keys that the output cannot take.
        """


class JsonLinesWriter:
    """Writes records as JSON Lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream.buffer  # encoded lines need not be decoded and encoded again

    def write(self, record: Record) -> None:
        """Write one record."""
        try:
            line = msgspec.json.encode(record)
        except UnicodeEncodeError:
            # A lone surrogate cannot be encoded as it is; escaped it comes out as it came in.
            line = json.dumps(record).encode()
        self._stream.write(line + b"\n")


class CsvWriter:
    """Writes records as CSV; the first record says which columns there are.

    Topics are joined by a semicolon; each topic's score has a column of its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer: csv.DictWriter[str] | None = None

    def write(self, record: Record) -> None:
        """Write one record.

        Raises
        ------
        ValueError
            The record has a key that the first one has not.
        """
        flat = record | {"topics": ";".join(record["topics"])}
        flat |= {f"score_{topic}": score for topic, score in flat.pop("scores").items()}
        if self._writer is None:
            self._writer = csv.DictWriter(self._stream, list(flat), lineterminator="\n")
            self._writer.writeheader()
        if new := flat.keys() - set(self._writer.fieldnames):
            raise ValueError(f"the first record had no {', '.join(sorted(new))}; try --to jsonl")
        self._writer.writerow(flat)


def _checked(record: Record, column: str) -> Record | BadRecord:
    if column not in record:
        return BadRecord(f"has no {column!r}")
    if not isinstance(record[column], str):
        return BadRecord(f"{column!r} is not a text")
    if not record[column].strip():
        return BadRecord(f"{column!r} is empty")
    return record


def _read_json_lines(lines: Iterator[tuple[int, bytes | BadRecord]]) -> Iterator[Numbered]:
    for number, line in lines:
        if isinstance(line, BadRecord):
            yield number, line
        elif line and not line.isspace():
            yield number, _read_json(line)


def _read_json(line: bytes) -> Record | BadRecord:
    try:
        record = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        # The standard library takes lone surrogates, and says better what is wrong.
        try:
            record = json.loads(line.decode(), parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            return _not_unicode(error)
        except (ValueError, RecursionError) as error:
            return BadRecord(f"is not JSON ({error})")
    return record if isinstance(record, dict) else BadRecord("is not a JSON object")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _read_csv(lines: Lines, column: str) -> Iterator[Numbered]:
    bad: list[tuple[int, BadRecord]] = []
    taken: list[int] = []

    def usable_lines() -> Iterator[str]:
        for number, line in lines:
            if isinstance(line, BadRecord):
                bad.append((number, line))
            else:
                taken.append(number)
                yield f"{line}\n"

    csv.field_size_limit(MAX_LINE_BYTES)
    rows = csv.reader(usable_lines(), strict=True)
    header = next(rows, None)
    if header is None:
        return
    if header.count(column) != 1:
        yield (
            1,
            BadRecord(f"must name a column {column!r} once, not {', '.join(map(repr, header))}"),
        )
        return
    while True:
        bad.clear()
        taken.clear()
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield from bad
            yield taken[0], BadRecord(f"is not CSV ({error})")
            continue
        yield from bad
        if cells is None:
            return
        if len(cells) == len(header):
            yield taken[0], dict(zip(header, cells, strict=True))
        elif cells:
            yield taken[0], BadRecord(f"has {len(cells)} columns, the header has {len(header)}")


def _read_lines(lines: Lines) -> Iterator[Numbered]:
    for number, line in lines:
        if isinstance(line, BadRecord):
            yield number, line
        elif line.strip():
            yield number, {"text": line.strip()}


def _read_blocks(lines: Lines) -> Iterator[Numbered]:
    block: list[str] = []
    start = 0
    for number, line in chain(lines, [(0, "")]):
        if isinstance(line, BadRecord):
            yield number, line
        elif line.strip():
            start = start if block else number
            block.append(line.strip())
        elif block:
            yield start, {"text": " ".join(block)}
            block = []


def _decoded(lines: Iterator[tuple[int, bytes | BadRecord]]) -> Lines:
    for number, line in lines:
        try:
            yield number, line if isinstance(line, BadRecord) else line.decode()
        except UnicodeDecodeError as error:
            yield number, _not_unicode(error)


def _not_unicode(error: UnicodeDecodeError) -> BadRecord:
    return BadRecord(f"is not UTF-8 at byte {error.start + 1}")


def _lines(
    stream: BufferedReader, before_wait: Callable[[], None]
) -> Iterator[tuple[int, bytes | BadRecord]]:
    number = 0
    found = batches(partial(stream.read1, _BLOCK_BYTES), MAX_LINE_BYTES)
    while True:
        before_wait()
        batch = next(found, None)
        if batch is None:
            return
        for line in batch:
            number += 1
            if line is None:
                yield number, BadRecord(f"is longer than {MAX_LINE_BYTES:,} bytes")
            else:
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
