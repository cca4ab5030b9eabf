"""Tags a Dask DataFrame, for people who have a pipeline of their own.

>>> import dask.dataframe as dd
>>> from service.archive.frame import tag
>>> frame = tag(dd.read_parquet("s3://desk/2024/"), "body")  # doctest: +SKIP
>>> frame[frame.primary == "trade"].to_parquet("s3://desk/trade/")  # doctest: +SKIP
"""

import dask.dataframe as dd
import pandas as pd

from service import config
from service.archive.columns import NAMES, classifier, columns
from service.archive.layout import ArchiveError
from service.classifier import Classifier


def tag(frame: dd.DataFrame, column: str = "text", *, version: str | None = None) -> dd.DataFrame:
    """Add topics, primary and scores to a frame; columns of these names are replaced.

    Nothing is computed yet. Each partition is tagged as a whole, so it should fit into a worker's
    memory several times. The workers need geotopics and the model, in the folder of models of
    their own settings.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        Of any partitioning and index; both are kept.
    column : str, default="text"
        Holds the texts.
    version : str, optional
        Of the model; by default the one that is current here and now.

    Returns
    -------
    dask.dataframe.DataFrame
        With the columns ``topics`` (list of str, best first), ``primary`` (str) and ``scores``
        (a struct of a 32-bit float per topic), in Arrow's types. They are null where the text is
        missing, blank or no string.

    Raises
    ------
    ArchiveError
        The frame has no such column.
    ModelError
        There is no such model here.
    """
    if column not in frame.columns:
        raise ArchiveError(
            f"the frame has no column {column!r}, only {', '.join(map(str, frame.columns))}"
        )
    model = Classifier.load(config.load().models, version)
    tagged: dd.DataFrame = frame.map_partitions(
        _tag_part,
        column,
        model.manifest.version,
        meta=_with_tags(frame._meta, column, model),
    )
    return tagged


def _tag_part(part: pd.DataFrame, column: str, version: str) -> pd.DataFrame:
    return _with_tags(part, column, classifier(version))


def _with_tags(part: pd.DataFrame, column: str, model: Classifier) -> pd.DataFrame:
    usable = [isinstance(text, str) and bool(text.strip()) for text in part[column]]
    results = iter(model.classify(part[column][usable].tolist()))
    tags = columns([next(results) if one else None for one in usable], model.manifest.topics)
    return part.assign(
        **{
            name: pd.Series(pd.arrays.ArrowExtensionArray(tags.column(name)), index=part.index)
            for name in NAMES
        }
    )
