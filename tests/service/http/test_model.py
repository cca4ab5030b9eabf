import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import current
from service.config import Settings
from service.http import create_app
from service.store import ModelStore


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def client(models: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(current, "LOOK_SECONDS", 0)
    return create_app(Settings(models=models)).test_client()


def copy(model_store: ModelStore, models: Path) -> str:
    """Do what a training does: put a version into the folder and make it current."""
    version = model_store.current()
    assert version is not None
    shutil.copytree(model_store.folder(version), models / version)
    ModelStore(models).promote(version)
    return version


def save(store: ModelStore, version: str, arrays: dict[str, Any]) -> str:
    """Save a version that has other arrays than the given one."""
    manifest = store.manifest(version)
    own = {"format", "version", "trained_at", "files"}
    return store.save(arrays, manifest.model_dump(exclude=own), lambda _: None).version


def test_a_server_started_without_a_model_becomes_ready_when_there_is_one(
    client: FlaskClient, models: Path, model_store: ModelStore
) -> None:
    assert client.get("/readyz").status_code == 503
    version = copy(model_store, models)
    assert client.get("/readyz").json == {"status": "ready", "model": version}
    assert client.post("/v1/classify", json={"text": "a"}).status_code == 200


def test_a_model_made_current_is_picked_up_by_a_running_server(
    client: FlaskClient, models: Path, model_store: ModelStore
) -> None:
    first = copy(model_store, models)
    assert client.get("/readyz").json == {"status": "ready", "model": first}
    store = ModelStore(models)
    _, arrays = store.load_arrays(first)
    second = save(store, first, dict(arrays) | {"bias": arrays["bias"] + 1})
    assert client.get("/readyz").json == {"status": "ready", "model": first}
    store.promote(second)
    assert client.get("/readyz").json == {"status": "ready", "model": second}
    store.rollback()
    assert client.get("/readyz").json == {"status": "ready", "model": first}


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_in_place(
    client: FlaskClient, models: Path, model_store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    version = copy(model_store, models)
    assert client.get("/readyz").status_code == 200
    ModelStore(models).pointer.write_text("nosuchversion\n")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert client.get("/readyz").json == {"status": "ready", "model": version}
    assert len(caplog.records) == 1
    assert "nosuchversion" in caplog.text


def test_a_model_that_is_whole_but_not_understood_leaves_the_old_one_in_place(
    client: FlaskClient, models: Path, model_store: ModelStore
) -> None:
    version = copy(model_store, models)
    assert client.get("/readyz").status_code == 200
    store = ModelStore(models)
    store.promote(save(store, version, {}))
    assert client.get("/readyz").json == {"status": "ready", "model": version}


def test_a_folder_of_models_that_disappears_leaves_the_loaded_one_in_place(
    client: FlaskClient, models: Path, model_store: ModelStore
) -> None:
    copy(model_store, models)
    assert client.get("/readyz").status_code == 200
    shutil.rmtree(models)
    assert client.get("/readyz").status_code == 200
    assert client.post("/v1/classify", json={"text": "a"}).status_code == 200
