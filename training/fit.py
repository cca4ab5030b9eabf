"""Fits the model: logistic regression per topic, calibrated, with a threshold per topic."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline

from training.features import LogRatioScaler, features

INVERSE_REGULARISATION = 15.0  # scikit-learn's C
CALIBRATION_FOLDS = 4


def model(*, vectors: bool) -> "CalibratedTopics":
    """Build the model that this product trains.

    Parameters
    ----------
    vectors : bool
        Whether to use the word-vector part.

    Returns
    -------
    CalibratedTopics
        Unfitted.
    """
    regression = LogisticRegression(
        C=INVERSE_REGULARISATION,
        class_weight="balanced",
        solver="liblinear",
        dual=True,
        tol=0.05,  # average precision is the same at 0.001, in a third more time
        max_iter=1000,
        random_state=0,
    )
    topic = Pipeline([("scale", LogRatioScaler()), ("regression", regression)])
    return CalibratedTopics(
        Pipeline(
            [
                ("features", features(vectors=vectors)),
                ("topics", TopicsOrNone(topic)),
            ]
        )
    )


class TopicsOrNone(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multi-label classifier to which no topic is likelier than that there is any.

    Like scikit-learn's ``OneVsRestClassifier`` with one class more, whether a paragraph carries any
    topic. No decision on a topic is higher than the one on that.

    Parameters
    ----------
    estimator : estimator
        Binary classifier with ``decision_function``.

    Attributes
    ----------
    topics_ : list of estimator
        One fitted for each topic.
    any_topic_ : estimator
        Fitted on whether a paragraph carries any.
    """

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(self, X: csr_matrix, y: ArrayLike) -> Self:  # noqa: N803
        """Fit one estimator a topic, and one for any topic.

        Parameters
        ----------
        X : csr_matrix of shape (n_paragraphs, n_features)
        y : array-like of bool, shape (n_paragraphs, n_topics)
            Each topic is carried by some paragraphs, and some carry none.
        """
        labels = np.asarray(y, dtype=int)
        self.topics_ = [clone(self.estimator).fit(X, label) for label in labels.T]
        self.any_topic_ = clone(self.estimator).fit(X, labels.any(axis=1).astype(int))
        self.classes_ = np.arange(labels.shape[1])
        return self

    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        """Decisions of shape (n_paragraphs, n_topics)."""
        decisions = np.array([topic.decision_function(X) for topic in self.topics_])
        return np.asarray(np.minimum(decisions, self.any_topic_.decision_function(X)).T)

    def predict(self, X: csr_matrix) -> NDArray[np.bool_]:  # noqa: N803
        """Topics whose decision is above zero, of shape (n_paragraphs, n_topics)."""
        return np.asarray(self.decision_function(X) > 0)


class CalibratedTopics(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multi-label classifier whose probabilities and thresholds hold on groups it has not seen.

    Like scikit-learn's ``CalibratedClassifierCV(method="sigmoid", ensemble=False)``, but for
    several topics at once, with folds that leave whole groups out, and with a threshold per topic.
    The sigmoid keeps a topic's logit as linear as the decision is.

    Parameters
    ----------
    estimator : estimator
        Multi-label classifier with ``decision_function``.
    folds : int, default=4
        Number of folds, into which the groups are dealt by size.
    n_jobs : int, default=1
        Number of processes that fit folds.

    Attributes
    ----------
    estimator_ : estimator
        Fitted on all paragraphs.
    slopes_, intercepts_ : ndarray of shape (n_topics,)
        Platt's sigmoid: ``probability = expit(slope * decision + intercept)``.
    thresholds_ : ndarray of shape (n_topics,)
        Probability from which on a paragraph carries a topic: where F1 is highest on paragraphs of
        held-out groups.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """

    def __init__(
        self, estimator: BaseEstimator, folds: int = CALIBRATION_FOLDS, n_jobs: int = 1
    ) -> None:
        self.estimator = estimator
        self.folds = folds
        self.n_jobs = n_jobs

    def fit(self, X: Sequence[str], y: ArrayLike, groups: Sequence[str]) -> Self:  # noqa: N803
        """Fit, calibrate and choose thresholds.

        Parameters
        ----------
        X : sequence of str
            Paragraphs.
        y : array-like of bool, shape (n_paragraphs, n_topics)
            Which topics they carry.
        groups : sequence of str
            The file that each paragraph comes from; at least two different ones.

        Returns
        -------
        CalibratedTopics
            Itself.
        """
        labels = np.asarray(y, dtype=int)
        decisions = cross_val_predict(
            self.estimator,
            X,
            labels,
            groups=groups,
            cv=GroupKFold(min(self.folds, len(set(groups)))),
            method="decision_function",
            n_jobs=self.n_jobs,
        )
        sigmoids = [
            LogisticRegression(C=np.inf).fit(decision[:, None], label)
            for decision, label in zip(decisions.T, labels.T, strict=True)
        ]
        self.slopes_ = np.array([sigmoid.coef_[0, 0] for sigmoid in sigmoids])
        self.intercepts_ = np.array([sigmoid.intercept_[0] for sigmoid in sigmoids])
        self.thresholds_ = best_thresholds(labels, expit(self._calibrated(decisions)))
        self.estimator_ = clone(self.estimator).fit(X, labels)
        self.classes_ = np.arange(labels.shape[1])
        return self

    def decision_function(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """Calibrated logits, of shape (n_paragraphs, n_topics)."""
        return self._calibrated(self.estimator_.decision_function(X))

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """Calibrated probabilities, of shape (n_paragraphs, n_topics)."""
        return np.asarray(expit(self.decision_function(X)))

    def predict(self, X: Sequence[str]) -> NDArray[np.bool_]:  # noqa: N803
        """Topics whose probability reaches their threshold, of shape (n_paragraphs, n_topics)."""
        return np.asarray(self.predict_proba(X) >= self.thresholds_)

    def _calibrated(self, decisions: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(decisions * self.slopes_ + self.intercepts_)


def best_thresholds(
    labels: NDArray[np.int_], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Threshold per topic with the highest F1.

    Parameters
    ----------
    labels, probabilities : ndarray of shape (n_paragraphs, n_topics)
        What is true, and what the model says.

    Returns
    -------
    ndarray of shape (n_topics,)
    """
    thresholds = np.empty(labels.shape[1])
    for topic, (label, probability) in enumerate(zip(labels.T, probabilities.T, strict=True)):
        precision, recall, candidates = precision_recall_curve(label, probability)
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
        thresholds[topic] = candidates[np.argmax(f1[:-1])]
    return thresholds
