"""Writes the model card: what the model is, how good it is and where it fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import norm

from service.scorer import Arrays
from service.topics import TOPICS
from training.evaluate import CALIBRATION_BINS, FOLDS

TELLING_TERMS = 20


def write_card(
    report: Mapping[str, Any],
    thresholds: Mapping[str, float],
    arrays: Arrays,
    term_values: csr_matrix,
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
    term_values : csr_matrix of shape (n_paragraphs, n_terms)
        Features of the corpus, without the word vectors.
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
        telling_terms=telling_terms(arrays, term_values),
        folds=FOLDS,
        bins=CALIBRATION_BINS,
    )


def telling_terms(arrays: Arrays, term_values: csr_matrix) -> dict[str, list[str]]:
    """Find the terms that speak loudest for each topic.

    Parameters
    ----------
    arrays : Arrays
        The compiled model.
    term_values : csr_matrix of shape (n_paragraphs, n_terms)
        Features of the corpus, without the word vectors.

    Returns
    -------
    dict of str to list of str
        Per topic the terms that add most to its logit, by the root mean square over the corpus.
    """
    terms = arrays["terms"].tobytes().decode("utf-8").split("\n")
    strengths = arrays["weights"] * norm(term_values, axis=0)[:, None]
    return {
        topic: [terms[row] for row in np.argsort(-column, kind="stable")[:TELLING_TERMS]]
        for topic, column in zip(TOPICS, strengths.T, strict=True)
    }
