"""Tags as columns: what is added to a table, in Arrow's types."""

from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa

from service import config, records
from service.classifier import Classifier, Result

NAMES = ("topics", "primary", "scores")


@lru_cache(maxsize=1)
def classifier(version: str) -> Classifier:
    """Load a model once in a process; its arrays are mapped, not copied.

    The folder of models is that of the machine that this runs on, which need not be the one that
    the archive was ordered from. A version is named after its content.

    Raises
    ------
    ModelError
        This machine does not have the model, or it is damaged.
    """
    return Classifier.load(config.load().models, version)


def schema(topics: Sequence[str]) -> pa.Schema:
    """Return the types of the columns: ``topics``, best first, ``primary`` and ``scores``."""
    scores = pa.struct([(topic, pa.float32()) for topic in topics])
    types = (pa.list_(pa.string()), pa.string(), scores)
    return pa.schema(list(zip(NAMES, types, strict=True)))


def columns(results: Sequence[Result | None], topics: Sequence[str]) -> pa.RecordBatch:
    """Turn results into columns.

    Parameters
    ----------
    results : sequence of Result or None
        None for a row without a text, whose tags are null.
    topics : sequence of str
        Of the model.

    Returns
    -------
    pyarrow.RecordBatch
        A row a result; its columns are those of `schema`.
    """
    rows = [{} if result is None else records.tagged({}, result) for result in results]
    return pa.RecordBatch.from_pylist(rows, schema=schema(topics))
