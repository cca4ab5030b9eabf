from collections.abc import Iterator
from pathlib import Path

import pytest

from service import config
from service.config import Settings
from service.feeds.polling import Poller
from service.store import ModelStore
from tests.service.feeds.server import FeedServer, serving


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with serving() as running:
        yield running


@pytest.fixture
def settings(model_store: ModelStore, tmp_path: Path) -> Settings:
    return config.load(models=model_store.root, instance=tmp_path / "instance", allow_private=True)


@pytest.fixture
def poller(settings: Settings) -> Iterator[Poller]:
    with Poller(settings) as opened:
        yield opened
