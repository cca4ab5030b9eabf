from collections.abc import Sequence

import pytest

from service.classifier import Classifier
from service.store import ModelStore
from training import corpus
from training.corpus import Paragraph
from training.train import train

EVERY = 8  # trained on one in so many shipped paragraphs, a model takes some ten seconds


@pytest.fixture(scope="session")
def paragraphs() -> Sequence[Paragraph]:
    return corpus.read([corpus.SHIPPED]).paragraphs[::EVERY]


@pytest.fixture(scope="session")
def model_store(
    paragraphs: Sequence[Paragraph], tmp_path_factory: pytest.TempPathFactory
) -> ModelStore:
    """A store with one real, small, current model; tests must not change it."""
    store = ModelStore(tmp_path_factory.mktemp("models"))
    train(paragraphs, store, force=False, progress=lambda _doing, _done: None, jobs=2)
    return store


@pytest.fixture(scope="session")
def classifier(model_store: ModelStore) -> Classifier:
    return Classifier.load(model_store.root)
