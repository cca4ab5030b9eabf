"""Reads labelled paragraphs: the shipped corpus, own files and the exports of labelling tools.

What a file holds is told by its extension and the keys of each row:

==================  ================================  ========================================
format              extension                         recognised by
==================  ================================  ========================================
own                 .jsonl, .ndjson, .json            ``topics``
doccano             .jsonl, .ndjson, .json            ``label`` or ``labels``
Prodigy             .jsonl, .ndjson, .json            ``answer``
Label Studio        .jsonl, .ndjson, .json            ``data`` and ``annotations``
Label Studio, flat  .json (JSON-MIN), .csv, .tsv      ``annotation_id``
table               .csv, .tsv                        a header; comma, semicolon or tab
==================  ================================  ========================================

A .json file is an array of rows or one row, and its rows are counted where other files count lines.
A table names topics in one column (``topics``, ``labels`` or ``label``; several are parted by
``;``, ``,``, ``|`` or ``#``) or has a column of 0 and 1 for each of the four. Doccano and tables
may call the text ``data``.

- ``id`` is optional. A number counts within its file only and becomes ``file:number``; a paragraph
  without an id becomes ``file:line``.
- ``primary`` is optional: without it, the topic that the row names first is primary.
- Rows that nobody answered are left out: Prodigy's ignored tasks and rejected choices, Label
  Studio's cancelled annotations and tasks without any. Of several annotations of one Label Studio
  task the newest stands, and `agreed` says whether they gave the same topics.
- Prodigy's yes-or-no rows about one text are put together; a topic never asked about is absent.
- In Label Studio's flat exports a choice is an object with ``choices``, a topic's very name, or
  whatever stands in ``topics``, ``topic``, ``labels`` or ``label``.
- A text that comes again with the same topics is counted once; with other topics, both are kept.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import GeotopicsError
from service.text import normalise
from service.topics import TOPICS

SHIPPED = Path(__file__).resolve().parent / "corpus"
MAX_CHARACTERS = 20_000  # of a text; whatever is longer is an article or a broken file
MAX_LISTED = 50  # bad rows in a message, about what fits a screen

_ABSENT = object()
_SEPARATORS = re.compile(r"[;,|#]")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and surrogates that have lost their other half
_LABEL_COLUMNS = ("topics", "labels", "label")
# What Label Studio puts beside the choices in its flat exports.
_FLAT_FACTS = frozenset({"id", "text", "annotator", "annotation_id", "created_at", "updated_at"})


@dataclass(frozen=True)
class Paragraph:
    """One labelled paragraph.

    Attributes
    ----------
    id : str
        Unique in what was read together.
    text : str
        As it stands in the file.
    topics : tuple of str
        In the order of `TOPICS`; empty where the paragraph carries none.
    primary : str or None
        The topic that it is mostly about; None where it carries none.
    file : str
        The group that cross-validation keeps together: the file's name without its extension.
    agreed : bool or None
        Whether two readings gave the same topics; None where there was one.
    """

    id: str
    text: str
    topics: tuple[str, ...]
    primary: str | None
    file: str
    agreed: bool | None


@dataclass(frozen=True)
class Corpus:
    """What `read` found: the paragraphs, and what a person should know about them."""

    paragraphs: tuple[Paragraph, ...]
    warnings: tuple[str, ...]


class CorpusError(GeotopicsError):
    """Files or rows that cannot be used.

    Attributes
    ----------
    problems : list of str
        All of them, as ``path:line: what is wrong``; the message shows the first `MAX_LISTED`.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        more = len(problems) - MAX_LISTED
        super().__init__(
            "\n".join([*problems[:MAX_LISTED], *([f"and {more:,} more"] if more > 0 else [])])
        )


def read(paths: Sequence[Path]) -> Corpus:
    """Read labelled paragraphs.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders. A folder stands for all files in it and below it, sorted by name, whose
        extension is known and whose name does not start with a dot.

    Returns
    -------
    Corpus
        Paragraphs in the order of the paths. Its warnings tell of rows left out, of texts that
        were there before and of `conflicts`.

    Raises
    ------
    CorpusError
        A path or a row cannot be used, or there is no paragraph at all. Every bad row of every
        file is listed.
    """
    problems: list[str] = []
    warnings: list[str] = []
    paragraphs: list[Paragraph] = []
    ids: dict[str, str] = {}
    for path, file in _groups(_files(paths, problems)).items():
        try:
            paragraphs += _read_file(path, file, ids, problems, warnings)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    if not problems and not paragraphs:
        problems.append(
            f"no labelled paragraph in {', '.join(map(str, paths)) or 'no path at all'}"
        )
    if problems:
        raise CorpusError(problems)
    distinct = _without_repeats(paragraphs, warnings)
    return Corpus(tuple(distinct), (*warnings, *conflicts(distinct)))


def conflicts(paragraphs: Iterable[Paragraph]) -> list[str]:
    """Describe texts that carry different topics in different places.

    Parameters
    ----------
    paragraphs : iterable of Paragraph
        Texts that differ in markup, capitals, accents or spaces only count as the same.

    Returns
    -------
    list of str
        One line for each paragraph that differs from the first one with its text.
    """
    first: dict[str, Paragraph] = {}
    found = []
    for paragraph in paragraphs:
        earlier = first.setdefault(_key(paragraph), paragraph)
        if earlier.topics != paragraph.topics:
            found.append(
                f"{paragraph.id} has the text of {earlier.id} but other topics: "
                f"{_named(paragraph)} instead of {_named(earlier)}"
            )
    return found


def digest(paragraphs: Iterable[Paragraph]) -> str:
    """Fingerprint of all that training can learn from.

    Each paragraph becomes one line: the JSON array of text, topics, primary, file and agreed, in
    ASCII and without spaces. The lines are sorted and joined by a line feed. Ids stay out, as they
    may hold line numbers; so neither the order of files and rows nor the system matters.

    Parameters
    ----------
    paragraphs : iterable of Paragraph

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    lines = sorted(json.dumps(astuple(p)[1:], separators=(",", ":")) for p in paragraphs)
    return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()


def label_matrix(paragraphs: Sequence[Paragraph]) -> NDArray[np.bool_]:
    """Which paragraph carries which topic.

    Parameters
    ----------
    paragraphs : sequence of Paragraph

    Returns
    -------
    ndarray of bool, shape (n_paragraphs, n_topics)
        Columns in the order of `TOPICS`.
    """
    rows = [[topic in paragraph.topics for topic in TOPICS] for paragraph in paragraphs]
    return np.array(rows, dtype=np.bool_).reshape(len(paragraphs), len(TOPICS))


Row = dict[str, Any]


class _UnusableError(Exception):
    """What is wrong with a path or a row, worded to follow its place."""


# Where in the file, and the row or what is wrong with it.
_Rows = Iterator[tuple[str, Row | _UnusableError]]


class _Labels(NamedTuple):
    """What a format's parser picks from a row, not yet checked."""

    text: object
    topics: object
    primary: object = _ABSENT
    id: object = None
    agreed: object = None
    yes_or_no: bool = False


def _files(paths: Sequence[Path], problems: list[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            for file in _files_at(path):
                found.setdefault(file.resolve(), file)  # a file and its folder may both be named
        except _UnusableError as error:
            problems.append(f"{path}: {error}")
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    return list(found.values())


def _files_at(path: Path) -> list[Path]:
    known = ", ".join(_READERS)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_corpus_file(file, path)]
        if not files:
            raise _UnusableError(f"no file in this folder ends in {known}")
        return files
    if not path.exists():
        raise _UnusableError("does not exist")
    if path.suffix.lower() not in _READERS:
        raise _UnusableError(f"is of no known format; its name must end in {known}")
    return [path]


def _is_corpus_file(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in _READERS and not hidden and file.is_file()


def _groups(files: list[Path]) -> dict[Path, str]:
    """Name each file by its stem; where that clashes, by its name and as many folders as needed."""
    names = {file: file.stem for file in files}
    for parts in count(1):
        taken = Counter(names.values())
        # Shipped files keep their stem, as figures are reported under it.
        own = [file for file in files if file.resolve().parent != SHIPPED]
        clashing = [file for file in own if taken[names[file]] > 1]
        if not clashing:
            break
        names |= {file: "/".join(file.resolve().parts[-parts:]) for file in clashing}
    return names


def _read_file(
    path: Path, file: str, ids: dict[str, str], problems: list[str], warnings: list[str]
) -> Iterable[Paragraph]:
    found: dict[str, Paragraph] = {}
    answers: dict[str, Paragraph] = {}
    skipped = 0
    for place, row in _READERS[path.suffix.lower()](path):
        try:
            labels = _pick(row)
            if labels is None:
                skipped += 1
                continue
            paragraph = _check(labels, file, place)
            if paragraph.id in ids:
                raise _UnusableError(
                    f"the id {paragraph.id!r} stands at {ids[paragraph.id]} already"
                )
        except _UnusableError as error:
            problems.append(f"{path}:{place}: {error}")
            continue
        ids[paragraph.id] = f"{path}:{place}"
        if labels.yes_or_no:
            answers[paragraph.text] = _merge(answers.get(paragraph.text, paragraph), paragraph)
        else:
            found[paragraph.id] = paragraph
    if skipped:
        warnings.append(f"{path}: {skipped:,} rows without an answer were left out")
    if answers:
        warnings.append(
            f"{path}: {len(answers):,} paragraphs were labelled by yes or no; "
            "a topic that was not asked about counts as absent"
        )
    return [*found.values(), *answers.values()]


def _merge(one: Paragraph, other: Paragraph) -> Paragraph:
    topics = tuple(topic for topic in TOPICS if topic in one.topics + other.topics)
    return replace(one, topics=topics, primary=one.primary or other.primary)


def _without_repeats(paragraphs: list[Paragraph], warnings: list[str]) -> list[Paragraph]:
    distinct: dict[tuple[str, tuple[str, ...]], Paragraph] = {}
    repeats: Counter[str] = Counter()
    for paragraph in paragraphs:
        if distinct.setdefault((_key(paragraph), paragraph.topics), paragraph) is not paragraph:
            repeats[paragraph.file] += 1
    warnings += [
        f"{file}: {number:,} paragraphs repeat earlier ones with the same topics; counted once"
        for file, number in repeats.items()
    ]
    return list(distinct.values())


def _key(paragraph: Paragraph) -> str:
    return " ".join(normalise(paragraph.text).split())


def _named(paragraph: Paragraph) -> str:
    return ", ".join(paragraph.topics) or "none"


def _check(labels: _Labels, file: str, place: str) -> Paragraph:
    named = _check_topics(labels.topics)
    if labels.agreed not in (None, True, False):
        raise _UnusableError("agreed is neither true nor false")
    return Paragraph(
        id=_check_id(labels.id, file, place),
        text=_check_text(labels.text),
        topics=tuple(topic for topic in TOPICS if topic in named),
        primary=_check_primary(labels.primary, named),
        file=file,
        agreed=None if labels.agreed is None else bool(labels.agreed),
    )


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise _UnusableError("has no text" if text is None else "the text is not a string")
    if not text.strip():
        raise _UnusableError("the text is empty")
    if len(text) > MAX_CHARACTERS:
        raise _UnusableError(
            f"the text has {len(text):,} characters, more than {MAX_CHARACTERS:,}; "
            "cut it into paragraphs"
        )
    if _UNUSABLE.search(text):
        raise _UnusableError("the text holds a NUL or half a character (a lone surrogate)")
    return text


def _check_topics(topics: object) -> list[str]:
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise _UnusableError("the topics are not a list of names")
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        raise _UnusableError(
            f"unknown topic {', '.join(map(repr, unknown))}; allowed are {', '.join(TOPICS)}"
        )
    return topics


def _check_primary(primary: object, topics: list[str]) -> str | None:
    if primary is _ABSENT:
        return topics[0] if topics else None
    if primary is None and not topics:
        return None
    if not isinstance(primary, str) or primary not in topics:
        raise _UnusableError(f"primary {primary!r} is not among the paragraph's topics")
    return primary


def _check_id(identifier: object, file: str, place: str) -> str:
    if identifier in (None, ""):
        return f"{file}:{place}"
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise _UnusableError("the id is neither text nor a number")
    name = str(identifier)
    if not name.isprintable():
        raise _UnusableError(f"the id {name!r} holds characters that cannot be printed")
    return f"{file}:{name}" if name.isdecimal() else name


def _pick(row: Row | _UnusableError) -> _Labels | None:
    """Pick text and topics from a row, or None where nobody answered it."""
    if isinstance(row, _UnusableError):
        raise row
    for keys, parse in _PARSERS:
        if not all(key in row for key in keys):
            continue
        try:
            return parse(row)
        except (AttributeError, KeyError, TypeError) as error:
            raise _UnusableError(
                f"has {' and '.join(keys)}, but not in the shape of an export"
            ) from error
    raise _UnusableError("has no topics (own rows: topics; exports: label, answer, annotations)")


def _own(row: Row) -> _Labels:
    primary = row.get("primary", _ABSENT)
    return _Labels(row.get("text"), row["topics"], primary, row.get("id"), row.get("agreed"))


def _doccano(row: Row) -> _Labels:
    text = row.get("text", row.get("data"))
    return _Labels(text, row.get("label", row.get("labels")), id=row.get("id"))


def _prodigy(row: Row) -> _Labels | None:
    answer = row["answer"]
    if answer not in ("accept", "reject", "ignore"):
        raise _UnusableError(f"the answer {answer!r} is none of accept, reject, ignore")
    # A rejected choice says that these are not the topics, but not which ones are.
    if answer == "ignore" or (answer == "reject" and "accept" in row):
        return None
    if "accept" in row:
        return _Labels(row.get("text"), row["accept"])
    label = _check_topics([row["label"]])
    return _Labels(row.get("text"), label if answer == "accept" else [], yes_or_no=True)


def _label_studio(row: Row) -> _Labels | None:
    answered = [one for one in row["annotations"] if not one.get("was_cancelled")]
    if not answered:
        return None
    answered.sort(key=lambda annotation: str(annotation.get("created_at")))
    readings = [
        _choices([region["value"] for region in one["result"] if region["type"] == "choices"])
        for one in answered
    ]
    agreed = len(set(map(frozenset, readings))) == 1 if len(readings) > 1 else None
    return _Labels(row["data"].get("text"), readings[-1], id=row.get("id"), agreed=agreed)


def _label_studio_flat(row: Row) -> _Labels | None:
    annotation = row["annotation_id"]
    if annotation in (None, ""):
        return None
    columns = [(name, value) for name, value in row.items() if name not in _FLAT_FACTS]
    topics = [topic for name, value in columns for topic in _choices(value, name)]
    # A task has as many rows as annotations, so that its own id is not enough.
    return _Labels(row.get("text"), topics, id=f"{row.get('id')}-{annotation}")


def _choices(value: object, column: str = "") -> list[str]:
    """Topics in one value of Label Studio: a name, ``{"choices": [...]}`` or a list of such."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str):
        is_choice = value in TOPICS or (value and column in ("topic", *_LABEL_COLUMNS))
        return [value] if is_choice else []
    if isinstance(value, list):
        return [topic for one in value for topic in _choices(one, column)]
    return _check_topics(value["choices"]) if isinstance(value, dict) and "choices" in value else []


# The first entry all of whose keys a row has decides.
_PARSERS: tuple[tuple[tuple[str, ...], Callable[[Row], _Labels | None]], ...] = (
    (("data", "annotations"), _label_studio),
    (("annotation_id",), _label_studio_flat),
    (("answer",), _prodigy),
    (("topics",), _own),
    (("label",), _doccano),
    (("labels",), _doccano),
)


def _read_json_lines(path: Path) -> _Rows:
    for number, line in _lines(path):
        if isinstance(line, _UnusableError):
            yield str(number), line
        elif line.strip():
            yield str(number), _parse_json(line)


def _parse_json(line: str) -> Row | _UnusableError:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError):
        cut_off = "" if line.endswith("\n") else "; the file may be cut off, as no line end follows"
        return _UnusableError(f"is not JSON{cut_off}")


def _object(value: object) -> Row | _UnusableError:
    return value if isinstance(value, dict) else _UnusableError("is not a JSON object")


def _read_json(path: Path) -> _Rows:
    lines: list[str] = []
    for number, line in _lines(path):
        if isinstance(line, _UnusableError):
            yield str(number), line
            return
        lines.append(line)
    try:
        value = json.loads("".join(lines))
    except json.JSONDecodeError as error:
        yield str(error.lineno), _UnusableError("is not JSON, or the file is cut off here")
    except (ValueError, RecursionError):
        yield "1", _UnusableError("is JSON with a number too long or lists too deep to read")
    else:
        rows = value if isinstance(value, list) else [value]
        yield from ((f"row {number}", _object(row)) for number, row in enumerate(rows, 1))


def _read_table(path: Path) -> _Rows:
    undecodable: list[tuple[str, _UnusableError]] = []

    def decoded() -> Iterator[str]:
        for number, line in _lines(path):
            if isinstance(line, _UnusableError):
                undecodable.append((str(number), line))
            yield "\n" if isinstance(line, _UnusableError) else line

    lines = decoded()
    header = next(lines, "")
    delimiter = max(",;\t", key=header.count)
    try:
        columns = _columns(header, delimiter)
    except _UnusableError as error:
        yield from undecodable or [("1", error)]
        return
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    cells: list[str] | None = []
    while cells is not None:
        start = table.line_num + 2  # the header is not counted, and a row begins on the next line
        row: Row | _UnusableError | None
        try:
            cells = next(table, None)
            row = _table_row(columns, cells) if cells and any(cells) else None
        except csv.Error as error:
            row = _UnusableError(f"is not CSV ({error}); look for a missing or unpaired quote")
        except _UnusableError as error:
            row = error
        yield from undecodable
        undecodable.clear()
        if row is not None:
            yield str(start), row


def _columns(header: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([header], delimiter=delimiter))
    except csv.Error as error:
        raise _UnusableError(f"the header is not CSV ({error})") from error
    columns = [name.strip().lower() for name in cells]
    if not {"text", "data"} & set(columns):
        raise _UnusableError("the header names no column text")
    if len(set(columns)) < len(columns):
        raise _UnusableError("the header names a column twice")
    if not {*_LABEL_COLUMNS, "annotation_id"} & set(columns) and not set(TOPICS) <= set(columns):
        raise _UnusableError(
            f"the header names neither a column topics nor all of {', '.join(TOPICS)}"
        )
    return columns


def _table_row(columns: list[str], cells: list[str]) -> Row:
    """Turn cells into a row of the own shape; Label Studio's exports have a parser for cells."""
    if len(cells) != len(columns):
        raise _UnusableError(f"has {len(cells)} columns, the header has {len(columns)}")
    row: Row = dict(zip(columns, cells, strict=True))
    if "annotation_id" in row:
        return row
    column = next((name for name in _LABEL_COLUMNS if name in row), None)
    if column:
        topics = [name.strip() for name in _SEPARATORS.split(row[column]) if name.strip()]
    else:
        topics = [topic for topic in TOPICS if _flag(row[topic], topic)]
    own = {"id": row.get("id"), "text": row.get("text", row.get("data")), "topics": topics}
    return own | ({"primary": row["primary"].strip()} if row.get("primary") else {})


def _flag(cell: str, topic: str) -> bool:
    if cell.strip() not in ("", "0", "1"):
        raise _UnusableError(f"column {topic} holds {cell!r}, which is neither 0 nor 1")
    return cell.strip() == "1"


def _lines(path: Path) -> Iterator[tuple[int, str | _UnusableError]]:
    """Decode a file line by line; a line ends in a line feed, which only the last may lack."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").replace("\r\n", "\n")
            except UnicodeDecodeError as error:
                yield number, _UnusableError(f"is not UTF-8 at byte {error.start + 1} of the line")
                continue
            yield number, _UnusableError("holds a NUL byte") if "\0" in line else line


_READERS: dict[str, Callable[[Path], _Rows]] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
}
