"""Compiles a fitted pipeline into the flat arrays that the service scores with."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from service.scorer import Arrays
from training.features import VECTOR_WEIGHT
from training.fit import CalibratedTopics


def compile_arrays(model: CalibratedTopics) -> Arrays:
    """Flatten a fitted model.

    Parameters
    ----------
    model : CalibratedTopics
        Fitted, of the shape that `training.fit.model` builds.

    Returns
    -------
    Arrays
        Give the same logits as ``model.decision_function``, up to the rounding of 32-bit floats.
    """
    union = model.estimator_["features"]["parts"]
    parts = dict(union.transformer_list)
    topics = model.estimator_["topics"].estimators_
    columns = [topic["regression"].coef_[0] * topic["scale"].scale_ for topic in topics]
    weights = np.array(columns).T * model.slopes_
    biases = np.array([topic["regression"].intercept_[0] for topic in topics])
    term_parts = parts["terms"].parts_
    terms = [term for part in term_parts for term in part.get_feature_names_out()]
    idf = [
        part.idf_ * weight for part, weight in zip(term_parts, parts["terms"].weights_, strict=True)
    ]
    if vectors := parts.get("vectors"):
        vector_words, vector_rows = list(vectors.vocabulary_), vectors.vectors_
    else:
        vector_words, vector_rows = [], np.empty((0, 0))
    return Arrays(
        terms=_lines(terms),
        n_terms=np.array([len(part.idf_) for part in term_parts]),
        idf=_floats(np.concatenate(idf)),
        weights=_floats(weights[: len(terms)]),
        vector_words=_lines(vector_words),
        vectors=_floats(vector_rows),
        directions=_floats(weights[len(terms) :] * VECTOR_WEIGHT),
        bias=_floats(biases * model.slopes_ + model.intercepts_),
    )


def _lines(strings: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(strings).encode("utf-8"), dtype=np.uint8)


def _floats(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
