import os
from collections.abc import Iterator, Sequence

import pytest

from service import config
from service.classifier import Classifier
from service.store import ModelStore
from training import corpus
from training.corpus import Paragraph
from training.train import train

EVERY = 12  # trained on one in so many shipped paragraphs, a model takes some ten seconds


@pytest.fixture(scope="session", autouse=True)
def default_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them."""
    empty = tmp_path_factory.mktemp("settings") / "geotopics.toml"
    empty.touch()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith(config.PREFIX)]:
            patch.delenv(name)
        patch.setenv(config.FILE_VARIABLE, str(empty))
        yield


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
