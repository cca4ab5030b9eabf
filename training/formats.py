"""Parses one row of each known format (own, doccano, Prodigy, Label Studio, tables) into labels.

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
may call the text ``data``. Files are UTF-8, with or without a byte order mark. ``part_of``, in own
rows and tables, is the id of the paragraph that the text is a sentence of.

- Nobody answered Prodigy's ignored tasks and rejected choices, and Label Studio's cancelled
  annotations and tasks without any: such rows have no labels.
- Of several annotations of one Label Studio task the newest stands, and `Labels.agreed` says
  whether they gave the same topics.
- In Label Studio's flat exports a choice is an object with ``choices``, a topic's very name, or
  whatever stands in ``topics``, ``topic``, ``labels`` or ``label``.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from service.topics import TOPICS

_SEPARATORS = re.compile(r"[;,|#]")
_LABEL_COLUMNS = ("topics", "labels", "label")


class UnusableError(Exception):
    """What is wrong with a path or a row, worded to follow its place."""


class Labels(NamedTuple):
    """What a row says of its paragraph; all but the topics is not yet checked.

    Attributes
    ----------
    text : object
        The paragraph.
    topics : list of str
        Names out of `TOPICS`, in the row's order.
    primary : object
        The topic that it is mostly about; empty where the row does not say.
    id : object
        None or empty where the row has none.
    agreed : object
        Whether two readings gave the same topics; None where there was one.
    part_of : object
        Id of the paragraph that the text is a sentence of; None where it is a paragraph itself.
    yes_or_no : bool
        Whether the row answers for one topic only, so that others may follow about the same text.
    """

    text: object
    topics: list[str]
    primary: object = ""
    id: object = None
    agreed: object = None
    part_of: object = None
    yes_or_no: bool = False


_Row = dict[str, Any]
_Rows = Iterator[tuple[str, object]]


def rows(path: Path) -> Iterator[tuple[str, object]]:
    """Read the rows of a file.

    Parameters
    ----------
    path : Path
        Its name ends in one of `EXTENSIONS`, in capitals or not.

    Yields
    ------
    place : str
        Where in the file the row begins: ``12`` is a line, ``row 12`` an element of an array.
    row : object
        What stands there, for `parse`; an `UnusableError` where nothing can be read.
    """
    lines = []
    for number, raw in enumerate(path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        try:
            line = raw.decode("utf-8").removesuffix("\r")
            if "\0" in line:
                raise UnusableError("holds a NUL byte")
        except UnicodeDecodeError as error:
            yield str(number), UnusableError(f"is not UTF-8 at byte {error.start + 1} of the line")
            line = ""
        except UnusableError as error:
            yield str(number), error
            line = ""
        # An empty line keeps the numbers of those that follow, and is passed over by the readers.
        lines.append(line)
    yield from _READERS[path.suffix.lower()]("\n".join(lines))


def parse(row: object) -> Labels | None:
    """Pick text and topics from a row.

    Parameters
    ----------
    row : object
        As `rows` gave it.

    Returns
    -------
    Labels or None
        None where nobody answered the row.

    Raises
    ------
    UnusableError
        The row is of no known format, or names something that is no topic.
    """
    if isinstance(row, UnusableError):
        raise row
    if not isinstance(row, dict):
        raise UnusableError("is not a JSON object")
    for keys, parser in _PARSERS:
        if not all(key in row for key in keys):
            continue
        try:
            return parser(row)
        except (AttributeError, KeyError, TypeError) as error:
            raise UnusableError(
                f"has {' and '.join(keys)}, but not in the shape of an export"
            ) from error
    raise UnusableError("has no topics (own rows: topics; exports: label, answer, annotations)")


def _json_lines(text: str) -> _Rows:
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        try:
            yield str(number), json.loads(line)
        except (ValueError, RecursionError):
            whole = line.endswith("\n")
            cut_off = "" if whole else "; the file may be cut off, as no line end follows"
            yield str(number), UnusableError(f"is not JSON{cut_off}")


def _json_array(text: str) -> _Rows:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        yield str(error.lineno), UnusableError("is not JSON, or the file is cut off here")
    except (ValueError, RecursionError):
        yield "1", UnusableError("is JSON with a number too long or lists too deep to read")
    else:
        array = value if isinstance(value, list) else [value]
        yield from ((f"row {number}", row) for number, row in enumerate(array, 1))


def _table(text: str) -> _Rows:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    table = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(table, []))
    except csv.Error as error:
        yield "1", UnusableError(f"the header is not CSV ({error})")
        return
    except UnusableError as error:
        yield "1", error
        return
    cells: list[str] | None = []
    while cells is not None:
        place = str(table.line_num + 1)
        try:
            cells = next(table, None)
            if cells and any(cells):
                yield place, _table_row(columns, cells)
        except csv.Error as error:
            wrong = f"is not CSV ({error}); look for a missing or unpaired quote"
            yield place, UnusableError(wrong)
        except UnusableError as error:
            yield place, error


def _columns(header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    if not {"text", "data"} & set(columns):
        raise UnusableError("the header names no column text")
    if len(set(columns)) < len(columns):
        raise UnusableError("the header names a column twice")
    if not {*_LABEL_COLUMNS, "annotation_id"} & set(columns) and not set(TOPICS) <= set(columns):
        raise UnusableError(
            f"the header names neither a column topics nor all of {', '.join(TOPICS)}"
        )
    return columns


def _table_row(columns: list[str], cells: list[str]) -> _Row:
    """Turn cells into a row of the own shape; Label Studio's exports have a parser for cells."""
    if len(cells) != len(columns):
        raise UnusableError(f"has {len(cells)} columns, the header has {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    if "annotation_id" in row:
        return row
    column = next((name for name in _LABEL_COLUMNS if name in row), None)
    if column:
        topics = [name.strip() for name in _SEPARATORS.split(row[column]) if name.strip()]
    else:
        topics = [topic for topic in TOPICS if _flag(row[topic], topic)]
    return {
        "id": row.get("id"),
        "text": row.get("text", row.get("data")),
        "topics": topics,
        "primary": row.get("primary", "").strip(),
        "part_of": row.get("part_of"),
    }


def _flag(cell: str, topic: str) -> bool:
    if cell.strip() not in ("", "0", "1"):
        raise UnusableError(f"column {topic} holds {cell!r}, which is neither 0 nor 1")
    return cell.strip() == "1"


_READERS: dict[str, Callable[[str], _Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_array,
    ".csv": _table,
    ".tsv": _table,
}
EXTENSIONS = tuple(_READERS)


def _label_studio(row: _Row) -> Labels | None:
    answered = [one for one in row["annotations"] if not one.get("was_cancelled")]
    if not answered:
        return None
    answered.sort(key=lambda annotation: str(annotation.get("created_at")))
    readings = [
        _choices([region["value"] for region in one["result"] if region["type"] == "choices"])
        for one in answered
    ]
    agreed = len(set(map(frozenset, readings))) == 1 if len(readings) > 1 else None
    return Labels(row["data"].get("text"), readings[-1], id=row.get("id"), agreed=agreed)


def _label_studio_flat(row: _Row) -> Labels | None:
    annotation = row["annotation_id"]
    if annotation in (None, ""):
        return None
    columns = [(name, value) for name, value in row.items() if name != "text"]
    topics = [topic for name, value in columns for topic in _choices(value, name)]
    # A task has as many rows as annotations, so that its own id is not enough.
    return Labels(row.get("text"), topics, id=f"{row.get('id')}-{annotation}")


def _choices(value: object, column: str = "") -> list[str]:
    """Topics in one value of Label Studio: a name, ``{"choices": [...]}`` or a list of such."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str):
        is_choice = value in TOPICS or (value and column in ("topic", *_LABEL_COLUMNS))
        return _known([value]) if is_choice else []
    if isinstance(value, list):
        return [topic for one in value for topic in _choices(one, column)]
    return _known(value["choices"]) if isinstance(value, dict) and "choices" in value else []


def _prodigy(row: _Row) -> Labels | None:
    answer = row["answer"]
    if answer not in ("accept", "reject", "ignore"):
        raise UnusableError(f"the answer {answer!r} is none of accept, reject, ignore")
    # A rejected choice says that these are not the topics, but not which ones are.
    if answer == "ignore" or (answer == "reject" and "accept" in row):
        return None
    if "accept" in row:
        return Labels(row.get("text"), _known(row["accept"]))
    label = _known([row["label"]])
    return Labels(row.get("text"), label if answer == "accept" else [], yes_or_no=True)


def _own(row: _Row) -> Labels:
    topics = _known(row["topics"])
    return Labels(
        row.get("text"),
        topics,
        row.get("primary", ""),
        row.get("id"),
        row.get("agreed"),
        row.get("part_of"),
    )


def _doccano(row: _Row) -> Labels:
    topics = _known(row.get("label", row.get("labels")))
    return Labels(row.get("text", row.get("data")), topics, id=row.get("id"))


def _known(topics: object) -> list[str]:
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise UnusableError("the topics are not a list of names")
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        raise UnusableError(
            f"unknown topic {', '.join(map(repr, unknown))}; allowed are {', '.join(TOPICS)}"
        )
    return topics


# The first entry all of whose keys a row has decides.
_PARSERS: tuple[tuple[tuple[str, ...], Callable[[_Row], Labels | None]], ...] = (
    (("data", "annotations"), _label_studio),
    (("annotation_id",), _label_studio_flat),
    (("answer",), _prodigy),
    (("topics",), _own),
    (("label",), _doccano),
    (("labels",), _doccano),
)
