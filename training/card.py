"""Writes the model card: what the model is, how good it is and where it fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from service.scorer import Arrays
from service.topics import TOPICS
from training.evaluate import CALIBRATION_BINS, FOLDS

TELLING_TERMS = 20


def write_card(
    report: Mapping[str, Any],
    thresholds: Mapping[str, float],
    arrays: Arrays,
    corpus_digest: str,
) -> str:
    """Write the card.

    Parameters
    ----------
    report : mapping
        What `training.evaluate.metrics` returned.
    thresholds : mapping of str to float
        Per topic.
    arrays : Arrays
        The compiled model.
    corpus_digest : str
        What `training.corpus.digest` returned.

    Returns
    -------
    str
        Markdown, which shows the figures of `training.figures.draw` from the folder "figures".
    """
    environment = Environment(
        loader=PackageLoader("training", "."),
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own figures
    )
    return environment.get_template("card.md.jinja").render(
        report=report,
        thresholds=thresholds,
        vectors=arrays["vectors"].size > 0,
        n_terms=arrays["n_terms"].tolist(),
        corpus_digest=corpus_digest,
        telling_terms=telling_terms(arrays),
        folds=FOLDS,
        bins=CALIBRATION_BINS,
    )


def telling_terms(arrays: Arrays) -> dict[str, list[str]]:
    """Find the terms with the largest weight per topic.

    Parameters
    ----------
    arrays : Arrays
        The compiled model.

    Returns
    -------
    dict of str to list of str
        Per topic the terms whose single occurrence adds most, in the order of their weight.
    """
    terms = arrays["terms"].tobytes().decode("utf-8").split("\n")
    strengths = arrays["weights"] * arrays["idf"][:, None]
    return {
        topic: [
            terms[row] for row in np.argsort(-strengths[:, column], kind="stable")[:TELLING_TERMS]
        ]
        for column, topic in enumerate(TOPICS)
    }
