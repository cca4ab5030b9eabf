"""Writes the model card: what the model is, how good it is and where it fails."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from scipy.sparse.linalg import norm

from service.topics import TOPICS
from training.corpus import Paragraph, digest
from training.evaluate import CALIBRATION_BINS, FOLDS
from training.export import feature_weights, term_names
from training.fit import FEED_SHARES, CalibratedTopics
from training.terms import STATE_TERMS, STATES

TELLING_TERMS = 20


def write_card(
    report: Mapping[str, Any], model: CalibratedTopics, paragraphs: Sequence[Paragraph]
) -> str:
    """Write the card.

    Parameters
    ----------
    report : mapping
        What `training.evaluate.metrics` returned.
    model : CalibratedTopics
        Fitted on the corpus.
    paragraphs : sequence of Paragraph
        The corpus.

    Returns
    -------
    str
        Markdown, which shows the figures of `training.figures.draw` from the folder "figures".
    """
    environment = Environment(
        loader=PackageLoader("training", "."),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own figures
    )
    parts = dict(model.estimator_["features"]["parts"].transformer_list)
    return environment.get_template("card.md.jinja").render(
        report=report,
        thresholds=dict(zip(TOPICS, model.calibration_.thresholds_, strict=True)),
        vectors="vectors" in parts,
        n_terms=[len(part.idf_) for part in parts["terms"].parts_],
        most_states=len(STATE_TERMS),
        n_states=len(set(STATES.values())),
        n_sentences=sum(len(paragraph.sentences) for paragraph in paragraphs),
        feed_shares=dict(zip(TOPICS, FEED_SHARES, strict=True)),
        corpus_digest=digest(paragraphs),
        telling_terms=telling_terms(model, [paragraph.text for paragraph in paragraphs]),
        folds=FOLDS,
        bins=CALIBRATION_BINS,
    )


def telling_terms(model: CalibratedTopics, texts: Sequence[str]) -> dict[str, list[str]]:
    """Find the terms that speak loudest for each topic.

    Parameters
    ----------
    model : CalibratedTopics
        Fitted on the corpus.
    texts : sequence of str
        The paragraphs of the corpus.

    Returns
    -------
    dict of str to list of str
        Per topic the terms that add most to its logit, by the root mean square over the corpus.
    """
    names = term_names(model)
    values = model.estimator_["features"].transform(texts)[:, : len(names)]
    strengths = feature_weights(model)[: len(names), : len(TOPICS)] * norm(values, axis=0)[:, None]
    return {
        topic: [names[row] for row in np.argsort(-column, kind="stable")[:TELLING_TERMS]]
        for topic, column in zip(TOPICS, strengths.T, strict=True)
    }
