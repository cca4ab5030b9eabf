"""What else tags paragraphs with several topics, trained on the same corpus."""

from collections.abc import Callable, Sequence

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from service.store import ModelStore
from service.topics import TOPICS
from training.corpus import Paragraph, label_matrix

Predict = Callable[[Sequence[str]], object]


def scikit_learn(store: ModelStore) -> Predict:
    """Load the pipeline that was saved by the training of the current model."""
    pipeline = joblib.load(store.folder(str(store.current())) / "pipeline.joblib")
    predict: Predict = pipeline.predict_proba
    return predict


def fasttext(paragraphs: Sequence[Paragraph]) -> Predict:
    """Train fastText: 100 dimensions, words and pairs of words, a classifier for each topic."""
    from tests.bench.estimators import FastText  # noqa: PLC0415 - needs an extra

    texts = [paragraph.text for paragraph in paragraphs]
    model = FastText().fit(texts, label_matrix(paragraphs)).model_
    # Without the preparation in Python: what is timed is the C++.
    return lambda texts: model.predict([_one_line(text) for text in texts], k=len(TOPICS))


def minilm(paragraphs: Sequence[Paragraph]) -> Predict:
    """Fit logistic regression on the embeddings of MiniLM-L6, on a tenth of the corpus."""
    import torch  # noqa: PLC0415 - an extra

    from tests.bench.minilm import load  # noqa: PLC0415

    torch.set_num_threads(1)
    encoder = load()
    sample = paragraphs[::10]
    head = OneVsRestClassifier(LogisticRegression(max_iter=1000))

    def encode(texts: Sequence[str]) -> object:
        return encoder.encode(list(texts), batch_size=64, show_progress_bar=False)

    head.fit(encode([paragraph.text for paragraph in sample]), label_matrix(sample))
    return lambda texts: head.predict_proba(encode(texts))


def _one_line(text: str) -> str:
    return " ".join(text.split())
