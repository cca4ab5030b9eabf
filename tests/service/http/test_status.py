from typing import Any

from flask.testing import FlaskClient

from service.store import ModelStore
from service.topics import DEFINITIONS


def test_the_model_is_described_with_its_topics_thresholds_and_metrics(
    client: FlaskClient, model_store: ModelStore
) -> None:
    version = model_store.current()
    assert version is not None
    manifest = model_store.manifest(version)
    found: Any = client.get("/v1/model").json
    assert found["version"] == version
    assert found["trained_at"].startswith(manifest.trained_at.date().isoformat())
    assert [topic["name"] for topic in found["topics"]] == [topic.name for topic in DEFINITIONS]
    assert all(topic["carries"] and topic["codes"] for topic in found["topics"])
    assert set(found["thresholds"]) == set(manifest.thresholds)
    assert found["metrics"] == manifest.model_dump(mode="json")["metrics"]


def test_a_server_with_a_model_is_healthy_and_ready(
    client: FlaskClient, model_store: ModelStore
) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "model": model_store.current()}


def test_no_other_site_may_read_the_answers(client: FlaskClient) -> None:
    response = client.get("/v1/model", headers={"Origin": "http://localhost:9"})
    assert "Access-Control-Allow-Origin" not in response.headers
