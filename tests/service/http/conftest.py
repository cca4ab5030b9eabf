from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.config import Settings
from service.http import create_app
from service.store import ModelStore
from tests.service.feeds import samples

Post = Callable[..., TestResponse]


@pytest.fixture(scope="session")
def settings(model_store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = Settings(models=model_store.root, instance=tmp_path_factory.mktemp("instance"))
    samples.fill(found)
    return found


@pytest.fixture(scope="session")
def app(settings: Settings) -> Flask:
    return create_app(settings)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def classify(client: FlaskClient) -> Post:
    """Post to /v1/classify: an object as JSON, bytes as they are."""

    def post(body: Any, media_type: str = "application/json") -> TestResponse:
        if isinstance(body, bytes):
            return client.post("/v1/classify", data=body, content_type=media_type)
        return client.post("/v1/classify", json=body)

    return post
