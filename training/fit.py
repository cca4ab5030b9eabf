"""Fits the model: logistic regression per topic, calibrated, with a threshold per topic.

It learns from single sentences of its paragraphs too, see `training.corpus.Sentence`. Terms and
their idf are those of the paragraphs alone.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, hstack, vstack
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from training.corpus import Sentences
from training.features import RATIO_POWER, LogRatioScaler, features

INVERSE_REGULARISATION = 15.0  # scikit-learn's C
SENTENCE_WEIGHT = 0.3  # of a sentence beside a paragraph's 1; 0.5 does as well, 1 does worse
# See `TermRegression`. Next to nothing is gained on files left out, at least 0.007 of average
# precision on the dev set, however sentences were labelled.
OWN_WEIGHT = 0.6

# How many items of a news feed carry each topic, in the order of `TOPICS`: about as many as in
# those files of the corpus whose names speak of feeds, pages, the press, snippets or a mix.
FEED_SHARES = (0.16, 0.13, 0.06, 0.18)

Texts = Sequence[str] | NDArray[np.object_]


def model(*, vectors: bool) -> "TopicPipeline":
    """Build the model that this product trains, not yet calibrated.

    Parameters
    ----------
    vectors : bool
        Whether to use the word-vector part.

    Returns
    -------
    TopicPipeline
        Unfitted.
    """
    return TopicPipeline(
        [("features", features(vectors=vectors)), ("topics", TopicsOrNone(TermRegression()))]
    )


class TopicPipeline(Pipeline):  # type: ignore[misc]
    """Pipeline of features and a classifier of topics that learns from sentences as well."""

    def fit(self, X: Texts, y: ArrayLike, sentences: Sentences) -> Self:  # noqa: N803
        """Fit both steps.

        Parameters
        ----------
        X : sequence of str
            Paragraphs.
        y : array-like of bool, shape (n_paragraphs, n_topics)
            Which topics they carry.
        sentences : Sentences
            Of these paragraphs.
        """
        self["topics"].fit(*self.fit_features(X, y, sentences))
        return self

    def fit_features(
        self,
        X: Texts,  # noqa: N803
        y: ArrayLike,
        sentences: Sentences,
    ) -> tuple[csr_matrix, NDArray[np.bool_], NDArray[np.int_]]:
        """Fit the features, and give what the classifier is fitted to.

        Parameters
        ----------
        X, y, sentences
            As `fit` takes them.

        Returns
        -------
        matrix : csr_matrix of shape (n_paragraphs + n_sentences, n_features)
        labels : ndarray of bool, shape (n_paragraphs + n_sentences, n_topics)
        paragraphs : ndarray of int, shape (n_paragraphs + n_sentences,)
            Number of the paragraph that each row is, or is a sentence of.
        """
        matrix = self["features"].fit_transform(X)
        labels = np.asarray(y, dtype=bool)
        paragraphs = np.arange(len(labels))
        if len(sentences.texts):
            matrix = vstack([matrix, self["features"].transform(sentences.texts)])
            labels = np.concatenate([labels, sentences.labels])
            paragraphs = np.concatenate([paragraphs, sentences.paragraphs])
        return csr_matrix(matrix), labels, paragraphs


class TermRegression(BaseEstimator):  # type: ignore[misc]
    """Logistic regression on scaled terms in which each paragraph has a column of its own.

    A paragraph shares that column with its sentences. What is so of this paragraph only, a name, a
    turn of phrase, a label that is wrong, can go there instead of into the weights of its terms.
    The columns are thrown away: they act as a random effect of the paragraph would.

    Parameters
    ----------
    power : float, default=0.5
        Of the scale, see `LogRatioScaler`.
    own : float, default=0.6
        Value in the column of its own.
    class_weight : str or None, default="balanced"
        As of ``LogisticRegression``.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
    coef_ : ndarray of shape (n_features,)
        Of scaled features.
    intercept_ : float
    """

    def __init__(
        self,
        power: float = RATIO_POWER,
        own: float = OWN_WEIGHT,
        class_weight: str | None = "balanced",
    ) -> None:
        self.power = power
        self.own = own
        self.class_weight = class_weight

    def fit(self, X: csr_matrix, y: ArrayLike, paragraphs: NDArray[np.int_]) -> Self:  # noqa: N803
        """Fit the scale, then the regression.

        Parameters
        ----------
        X : csr_matrix of shape (n_texts, n_features)
        y : array-like of bool, shape (n_texts,)
        paragraphs : ndarray of int, shape (n_texts,)
            Number of the paragraph that a text is, or is a sentence of; paragraphs come first.
        """
        rows = np.arange(len(paragraphs))
        scaler = LogRatioScaler(self.power).fit(X, y)
        own = csr_matrix((np.full(len(rows), self.own), (rows, paragraphs)))
        regression = LogisticRegression(
            C=INVERSE_REGULARISATION,
            class_weight=self.class_weight,
            solver="liblinear",
            dual=True,
            tol=0.05,  # average precision is the same at 0.001, in a third more time
            max_iter=1000,
            random_state=0,
        ).fit(
            hstack([scaler.transform(X), own], format="csr"),
            y,
            sample_weight=np.where(paragraphs == rows, 1.0, SENTENCE_WEIGHT),
        )
        self.scale_ = scaler.scale_
        self.coef_ = regression.coef_[0, : X.shape[1]]
        self.intercept_ = float(regression.intercept_[0])
        return self

    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        """Decisions of shape (n_texts,)."""
        return np.asarray(X @ (self.scale_ * self.coef_) + self.intercept_)


class TopicsOrNone(BaseEstimator):  # type: ignore[misc]
    """Multi-label classifier to which no topic is likelier than that there is any.

    Like scikit-learn's ``OneVsRestClassifier`` with one class more, whether a paragraph carries any
    topic. No decision on a topic is higher than the one on that.

    Parameters
    ----------
    estimator : estimator
        Binary classifier such as `TermRegression`.

    Attributes
    ----------
    topics_ : list of estimator
        One fitted for each topic.
    any_topic_ : estimator
        Fitted on whether a paragraph carries any.
    """

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(self, X: csr_matrix, y: ArrayLike, paragraphs: NDArray[np.int_]) -> Self:  # noqa: N803
        """Fit one estimator a topic, and one for any topic.

        Parameters
        ----------
        X : csr_matrix of shape (n_texts, n_features)
        y : array-like of bool, shape (n_texts, n_topics)
            Each topic is carried by some texts, and some carry none.
        paragraphs : ndarray of int, shape (n_texts,)
            Number of the paragraph that a text is, or is a sentence of; paragraphs come first.
        """
        labels = np.asarray(y, dtype=bool)
        self.topics_ = [clone(self.estimator).fit(X, label, paragraphs) for label in labels.T]
        self.any_topic_ = clone(self.estimator).fit(X, labels.any(axis=1), paragraphs)
        return self

    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        """Decisions of shape (n_texts, n_topics)."""
        decisions = np.array([topic.decision_function(X) for topic in self.topics_])
        return np.asarray(np.minimum(decisions, self.any_topic_.decision_function(X)).T)


class CalibratedTopics(BaseEstimator):  # type: ignore[misc]
    """Multi-label classifier whose probabilities and thresholds hold on groups it has not seen.

    Like scikit-learn's ``CalibratedClassifierCV(method="sigmoid", ensemble=False)``, but for
    several topics at once, and calibrated on decisions that a cross-validation has made already.

    Parameters
    ----------
    estimator : estimator
        Multi-label classifier with ``decision_function``, whose ``fit`` takes sentences too.

    Attributes
    ----------
    estimator_ : estimator
        Fitted on all paragraphs.
    calibration_ : Calibration
    """

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(
        self,
        X: Texts,  # noqa: N803
        y: ArrayLike,
        sentences: Sentences,
        decisions: NDArray[np.float64],
    ) -> Self:
        """Fit and calibrate.

        Parameters
        ----------
        X, y, sentences
            As the estimator's ``fit`` takes them.
        decisions : ndarray of shape (n_paragraphs, n_topics)
            What the estimator decides on each paragraph where it was fitted without its group.

        Returns
        -------
        CalibratedTopics
            Itself.
        """
        labels = np.asarray(y, dtype=bool)
        self.calibration_ = Calibration().fit(decisions, labels)
        self.estimator_ = clone(self.estimator).fit(X, labels, sentences)
        return self

    def decision_function(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """Calibrated logits, of shape (n_paragraphs, n_topics)."""
        return self.calibration_.logits(self.estimator_.decision_function(X))

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """Calibrated probabilities, of shape (n_paragraphs, n_topics)."""
        return np.asarray(expit(self.decision_function(X)))

    def predict(self, X: Sequence[str]) -> NDArray[np.bool_]:  # noqa: N803
        """Topics whose probability reaches their threshold, of shape (n_paragraphs, n_topics)."""
        return np.asarray(self.predict_proba(X) >= self.calibration_.thresholds_)


class Calibration(BaseEstimator):  # type: ignore[misc]
    """Turns decisions into probabilities, and says from which probability on a topic is given.

    The sigmoid keeps a topic's logit as linear as the decision is.

    Attributes
    ----------
    slopes_, intercepts_ : ndarray of shape (n_topics,)
        Platt's sigmoid: ``probability = expit(slope * decision + intercept)``.
    thresholds_ : ndarray of shape (n_topics,)
        Probability from which on a paragraph carries a topic; see `best_thresholds`.

    References
    ----------
    Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """

    def fit(self, decisions: NDArray[np.float64], labels: NDArray[np.bool_]) -> Self:
        """Fit to decisions on paragraphs that the classifier was not fitted on.

        Parameters
        ----------
        decisions : ndarray of shape (n_paragraphs, n_topics)
        labels : ndarray of bool, shape (n_paragraphs, n_topics)
        """
        sigmoids = [
            LogisticRegression(C=np.inf).fit(decision[:, None], label)
            for decision, label in zip(decisions.T, labels.T, strict=True)
        ]
        # The last digits depend on the processor; a version shall not, as it is a digest of them.
        self.slopes_ = np.array([sigmoid.coef_[0, 0] for sigmoid in sigmoids]).round(6)
        self.intercepts_ = np.array([sigmoid.intercept_[0] for sigmoid in sigmoids]).round(6)
        self.thresholds_ = best_thresholds(expit(self.logits(decisions)), labels)
        return self

    def logits(self, decisions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated logits of shape (n_paragraphs, n_topics)."""
        return np.asarray(decisions * self.slopes_ + self.intercepts_)


def best_thresholds(
    probabilities: NDArray[np.float64], labels: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Threshold per topic from which on the expected F1 in a feed is highest.

    Much of the corpus was written about the topics, so that they are more frequent in it than in
    any feed, and a threshold chosen for it gives them too readily. So its paragraphs are weighted
    until each topic is as frequent as `FEED_SHARES` says. F1 is the one that the probabilities let
    expect: it has one peak, where that of the labels has many.

    Parameters
    ----------
    probabilities : ndarray of shape (n_paragraphs, n_topics)
        Calibrated.
    labels : ndarray of bool, shape (n_paragraphs, n_topics)
        How frequent the topics are among these paragraphs.

    Returns
    -------
    ndarray of shape (n_topics,)

    References
    ----------
    Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure",
    ECML PKDD 2014.
    """
    shares = labels.mean(axis=0)
    falling = -np.sort(-probabilities, axis=0)
    carried = falling * (FEED_SHARES / shares)
    given = carried + (1 - falling) * ((1 - np.array(FEED_SHARES)) / (1 - shares))
    hits = np.cumsum(carried, axis=0)
    best = np.argmax(hits / (np.cumsum(given, axis=0) + hits[-1]), axis=0)
    return np.asarray(falling[best, np.arange(len(shares))])
