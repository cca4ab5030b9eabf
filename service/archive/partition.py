"""Tags one file of an archive, in bounded memory, from beginning to end or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter, TextIOWrapper
from itertools import islice
from typing import Any, BinaryIO, Literal, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from service import records
from service.archive.columns import NAMES, classifier, columns, schema
from service.archive.layout import ArchiveError, Compression, Outcome, Output, Partition
from service.classifier import Classifier
from service.errors import GeotopicsError
from service.records import BadRecord

_BATCH_RECORDS = 64  # enough to spread the cost of a call; each may be as long as a line may be
_BATCH_ROWS = 1024
_GROUP_ROWS = 131_072  # a row group is written when it has so many rows, or
_GROUP_BYTES = 64 * 1024 * 1024  # so many bytes
_READ_BYTES = 1024 * 1024
_TEXTS = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def tag_partition(partition: Partition, output: Output) -> Outcome:
    """Tag a partition unless that was done before.

    Returns
    -------
    Outcome
        With the reason if the partition as a whole cannot be tagged; nothing is written then.
    """
    done = output.outcome(partition)
    if done:
        return done
    try:
        return _tag(partition, output)
    except (GeotopicsError, OSError, ValueError, pa.ArrowException) as error:
        return Outcome(failure=str(error))


class _Rejects:
    """Lists the rows of a partition that cannot be used."""

    def __init__(self, partition: str, stream: BinaryIO) -> None:
        self._partition = partition
        self._stream = stream
        self.count = 0
        self.first = ""

    def add(self, row: int, bad: BadRecord) -> None:
        """Note a row, counted from 1, or in a file of lines the line that it starts at."""
        line = {"partition": self._partition, "row": row, "reason": bad.reason}
        self._stream.write(json.dumps(line).encode("ascii") + b"\n")
        self.first = self.first or f"row {row} {bad.reason}"
        self.count += 1


def _tag(partition: Partition, output: Output) -> Outcome:
    model = classifier(output.version)
    with output.writing() as temporary:
        with (
            partition.fs.open(partition.path, "rb") as source,
            output.fs.open(temporary.tagged, "wb") as sink,
            output.fs.open(temporary.rejected, "wb") as stream,
        ):
            rejects = _Rejects(partition.name, stream)
            form, compression = partition.kind
            if form == "parquet":
                tagged = _tag_table(source, sink, output.column, model, rejects)
            else:
                with (
                    _decompressed(source, compression) as lines,
                    _compressed(sink, compression) as text,
                ):
                    tagged = _tag_lines(lines, text, form, output.column, model, rejects)
        if rejects.count and not tagged:
            # A wrong --column must not list every row of an archive.
            raise ArchiveError(f"has no usable row: {rejects.first}")
        outcome = Outcome(tagged, rejects.count)
        output.finish(partition, temporary, outcome)
    return outcome


@contextmanager
def _decompressed(source: BinaryIO, compression: Compression | None) -> Iterator[BufferedReader]:
    # Unlike others, Arrow's stream reads several frames in a row and tells when the end is missing.
    stream: Any = pa.CompressedInputStream(source, compression) if compression else source
    with BufferedReader(stream, _READ_BYTES) as lines:
        yield lines


@contextmanager
def _compressed(sink: BinaryIO, compression: Compression | None) -> Iterator[TextIO]:
    # Arrow writes no time and no name into the header: the same content gives the same bytes.
    stream: Any = pa.CompressedOutputStream(sink, compression) if compression else sink
    with TextIOWrapper(BufferedWriter(stream), encoding="utf-8", newline="") as text:
        yield text


def _tag_lines(
    lines: BufferedReader,
    text: TextIO,
    form: Literal["jsonl", "csv"],
    column: str,
    model: Classifier,
    rejects: _Rejects,
) -> int:
    writer: records.Writer = (
        records.CsvWriter(text) if form == "csv" else records.JsonLinesWriter(text)
    )
    found = records.read(lines, form, column)
    tagged = 0
    while batch := list(islice(found, _BATCH_RECORDS)):
        usable = []
        for row, record in batch:
            if isinstance(record, BadRecord):
                rejects.add(row, record)
            else:
                usable.append(record)
        results = model.classify([record[column] for record in usable])
        for record, result in zip(usable, results, strict=True):
            writer.write(records.tagged(record, result))
        tagged += len(usable)
    return tagged


def _tag_table(
    source: BinaryIO, sink: BinaryIO, column: str, model: Classifier, rejects: _Rejects
) -> int:
    # Streams pages instead of holding a row group, which may be as large as the file.
    file = pq.ParquetFile(source, buffer_size=_READ_BYTES, pre_buffer=False)
    found = file.schema_arrow
    if found.names.count(column) != 1:
        raise ArchiveError(f"must have a column {column!r} once, not {', '.join(found.names)}")
    kept = [field for field in found if field.name not in NAMES]
    target = pa.schema([*kept, *schema(model.manifest.topics)], metadata=found.metadata)
    tagged = 0
    with pq.ParquetWriter(sink, target, compression=_codec(file)) as writer:
        for group in _groups(_tagged_batches(file, target, column, model, rejects)):
            writer.write_table(group)
            tagged += len(group)
    return tagged


def _codec(file: pq.ParquetFile) -> str:
    groups = [group for group in range(file.num_row_groups) if file.metadata.num_columns]
    codec = file.metadata.row_group(0).column(0).compression if groups else "SNAPPY"
    return {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4"}.get(codec, codec)


def _tagged_batches(
    file: pq.ParquetFile, target: pa.Schema, column: str, model: Classifier, rejects: _Rejects
) -> Iterator[pa.RecordBatch]:
    start = 1
    for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
        texts = [_text(value, column) for value in _as_bytes(batch.column(column), column)]
        for row, text in enumerate(texts, start):
            if isinstance(text, BadRecord):
                rejects.add(row, text)
        start += len(texts)
        usable = [isinstance(text, str) for text in texts]
        results = model.classify([text for text in texts if isinstance(text, str)])
        rows = batch.filter(pa.array(usable, pa.bool_()))
        tags = columns(results, model.manifest.topics)
        kept = [rows.column(name) for name in target.names if name not in NAMES]
        yield pa.RecordBatch.from_arrays([*kept, *tags.columns], schema=target)


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    group: list[pa.RecordBatch] = []
    n_rows = n_bytes = 0
    for batch in batches:
        group.append(batch)
        n_rows += batch.num_rows
        n_bytes += batch.nbytes
        if n_rows >= _GROUP_ROWS or n_bytes >= _GROUP_BYTES:
            yield pa.Table.from_batches(group)
            group = []
            n_rows = n_bytes = 0
    if n_rows:
        yield pa.Table.from_batches(group)


def _as_bytes(values: pa.Array, column: str) -> list[bytes | None]:
    """Return undecoded values, as Arrow would refuse a whole batch for one that is not UTF-8."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type not in _TEXTS:
        raise ArchiveError(f"the column {column!r} holds {values.type}, no texts")
    return cast(list[bytes | None], values.cast(pa.large_binary()).to_pylist())


def _text(value: bytes | None, column: str) -> str | BadRecord:
    if value is None:
        return BadRecord(f"{column!r} is not a text")
    if len(value) > records.MAX_LINE_BYTES:
        return BadRecord(f"{column!r} is longer than {records.MAX_LINE_BYTES:,} bytes")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        return BadRecord(f"{column!r} is not UTF-8 at byte {error.start + 1}")
    return text if text.strip() else BadRecord(f"{column!r} is empty")
