"""What people would use instead, as estimators that `training.fit.CalibratedTopics` can wrap."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import fasttext
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from service.topics import TOPICS
from training.corpus import Sentences

_NONE = "none"  # fastText skips paragraphs without a label, so they get this one
_MARKS = re.compile(r"([.!?,:;\"'/()])")


class AllTexts(BaseEstimator):  # type: ignore[misc]
    """Trains an estimator on paragraphs and sentences alike.

    Parameters
    ----------
    estimator : estimator
        Multi-label classifier of texts.
    """

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(self, texts: Sequence[str], y: ArrayLike, sentences: Sentences) -> Self:
        """Train on texts and their labels of shape (n_texts, n_topics), and on sentences."""
        labels = np.concatenate([np.asarray(y, dtype=bool), sentences.labels])
        self.estimator_ = clone(self.estimator).fit([*texts, *sentences.texts], labels)
        return self

    def decision_function(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Decisions of the estimator, of shape (n_texts, n_topics)."""
        return np.asarray(self.estimator_.decision_function(texts))

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities by the estimator, of shape (n_texts, n_topics)."""
        return np.asarray(self.estimator_.predict_proba(texts))

    def predict(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Tags by the estimator, of shape (n_texts, n_topics)."""
        return np.asarray(self.estimator_.predict(texts))


def linear_svc() -> Pipeline:
    """Build scikit-learn's linear support vector machine over plain tf-idf of words."""
    return make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LinearSVC(random_state=0)))


def complement_bayes() -> Pipeline:
    """Build complement naive Bayes over plain tf-idf of words.

    The smoothing suits it here; with scikit-learn's 1.0, average precision is a fifth lower.
    """
    return make_pipeline(TfidfVectorizer(), OneVsRestClassifier(_ComplementBayes(alpha=0.1)))


class FastText(BaseEstimator):  # type: ignore[misc]
    """fastText's supervised classifier over words and pairs, with one-vs-all loss.

    Text is prepared, and what is not said in the comparison is set, as in fastText's tutorial on
    several labels a text. One thread, so that a run can be repeated.
    """

    def fit(self, texts: Sequence[str], y: ArrayLike) -> Self:
        """Train on texts and their labels of shape (n_texts, n_topics)."""
        labels = np.asarray(y, dtype=bool)
        with TemporaryDirectory() as folder:
            path = Path(folder, "train.txt")
            lines = map(_line, texts, labels)
            path.write_text("\n".join(lines) + "\n", "utf-8")
            self.model_ = fasttext.train_supervised(
                str(path),
                dim=100,
                wordNgrams=2,
                loss="ova",
                lr=0.5,
                epoch=25,
                bucket=200_000,
                thread=1,
                seed=0,
                verbose=0,
            )
        return self

    def decision_function(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Logits, of shape (n_texts, n_topics)."""
        names, probabilities = self.model_.predict([_prepared(text) for text in texts], k=-1)
        found = [dict(zip(*row, strict=True)) for row in zip(names, probabilities, strict=True)]
        rows = [[row[_label(topic)] for topic in TOPICS] for row in found]
        return np.asarray(logit(np.clip(rows, 1e-6, 1 - 1e-6)))

    def __getstate__(self) -> dict[str, Any]:
        """Give a fitted model as bytes; fastText can only save it to a file."""
        state = dict(self.__dict__)
        if "model_" in state:
            with TemporaryDirectory() as folder:
                path = Path(folder, "model.bin")
                self.model_.save_model(str(path))
                state["model_"] = path.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load what `__getstate__` gave."""
        self.__dict__.update(state)
        if "model_" in state:
            with TemporaryDirectory() as folder:
                path = Path(folder, "model.bin")
                path.write_bytes(state["model_"])
                self.model_ = fasttext.load_model(str(path))


class _ComplementBayes(ComplementNB):  # type: ignore[misc]
    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        without, carrying = self.predict_joint_log_proba(X).T
        return np.asarray(carrying - without)


def _line(text: str, label: NDArray[np.bool_]) -> str:
    carried = [topic for topic, carries in zip(TOPICS, label, strict=True) if carries] or [_NONE]
    return " ".join([*map(_label, carried), _prepared(text)])


def _label(topic: str) -> str:
    return f"__label__{topic}"


def _prepared(text: str) -> str:
    return " ".join(_MARKS.sub(r" \1 ", text.lower()).split())
