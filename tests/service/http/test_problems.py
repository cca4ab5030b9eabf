import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.config import Settings
from service.http import create_app
from service.http.problems import Problem
from tests.service.http.conftest import Post

MALFORMED = {
    "nothing": b"",
    "half an object": b'{"text":',
    "bytes that are not UTF-8": b'{"text": "\xff"}',
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"text": "a"}',
    "a raw NUL": b'{"text": "a\x00"}',
    "NaN": b'{"text": NaN}',
    "Infinity": b'{"text": -Infinity}',
    "a key that stands twice": b'{"text": "a", "text": "b"}',
    "a deep list": b"[" * 200_000,
    "a deep object": b'{"a":' * 100_000,
    "a huge integer": b'{"text": ' + b"9" * 5_000 + b"}",
    "two documents": b'{"text": "a"}{"text": "b"}',
}

UNACCEPTABLE: dict[str, tuple[bytes, str]] = {
    "a list": (b"[]", ""),
    "null": (b"null", ""),
    "an empty object": (b"{}", ""),
    "two kinds at once": (b'{"text": "a", "article": "b"}', ""),
    "an empty text": (b'{"text": ""}', "text"),
    "a blank text": (b'{"text": " \\n\\u00a0"}', "text"),
    "a blank article": (b'{"article": "\\n\\n"}', "article"),
    "a blank text among texts": (b'{"texts": ["a", " "]}', "texts.1"),
    "a number for a text": (b'{"text": 1}', "text"),
    "null for a text": (b'{"text": null}', "text"),
    "a text for texts": (b'{"texts": "a"}', "texts"),
    "an object for a text": (b'{"text": {"text": "a"}}', "text"),
    "an object for texts": (b'{"texts": {}}', "texts"),
    "pairs instead of an object": (b'[["text", "a"]]', ""),
    "a lone surrogate": (b'{"text": "a \\ud800"}', "text"),
    "a lone surrogate among texts": (b'{"texts": ["a", "\\udfff"]}', "texts.1"),
    "a lone surrogate as key": (b'{"text": "a", "\\ud800": 1}', ""),
    "an unknown key": (b'{"text": "a", "lang": "en"}', "lang"),
    "a word for a truth value": (b'{"text": "a", "explain": "yes"}', "explain"),
    "a number for a truth value": (b'{"text": "a", "explain": 1}', "explain"),
}


def problem(response: TestResponse) -> Problem:
    """Check the shape that every error has."""
    assert response.content_type == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    found = Problem.model_validate_json(response.data)
    assert found.status == response.status_code
    assert found.detail
    assert "Traceback" not in found.detail
    return found


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_no_json_is_malformed(classify: Post, body: bytes) -> None:
    assert problem(classify(body)).status == 400


@pytest.mark.parametrize(("body", "field"), UNACCEPTABLE.values(), ids=UNACCEPTABLE)
def test_a_field_that_cannot_be_accepted_is_named(classify: Post, body: bytes, field: str) -> None:
    found = problem(classify(body))
    assert found.status == 422
    assert found.errors[0].field == field
    assert found.errors[0].detail


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 422), (b" \n", 422), (b"\xff", 400), (b"a" * 20_001, 413)]
)
def test_plain_text_has_the_same_rules(classify: Post, body: bytes, status: int) -> None:
    assert problem(classify(body, "text/plain")).status == status


def test_a_body_above_the_limit_is_too_large(classify: Post) -> None:
    assert problem(classify(b" " * (1_048_576 + 1))).status == 413


def test_a_paragraph_above_the_limit_is_too_large(classify: Post) -> None:
    found = problem(classify({"texts": ["a", "a" * 20_001]}))
    assert found.status == 413
    assert found.errors[0].field == "texts.1"


def test_a_body_that_ends_early_is_malformed(client: FlaskClient) -> None:
    body = b'{"text": "Tariffs rose."}'
    response = client.post(
        "/v1/classify",
        data=body,
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(len(body) + 1)},
    )
    assert problem(response).status == 400


def test_more_texts_than_the_limit_are_too_large(classify: Post) -> None:
    assert classify({"texts": ["a"] * 1_000}).status_code == 200
    assert problem(classify({"texts": ["a"] * 1_001})).status == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "nonsense"},
        {},
    ],
)
def test_other_kinds_of_bodies_are_unsupported(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert problem(client.post("/v1/classify", data=b"{}", headers=headers)).status == 415


@pytest.mark.parametrize(
    "address", ["/nothing", "/v1/classify/", "//v1/model", "/docs/../home.html", "/docs/%2e%2e/x"]
)
def test_an_unknown_address_is_not_found(client: FlaskClient, address: str) -> None:
    assert problem(client.get(address)).status == 404


def test_a_method_that_an_address_does_not_know_is_answered_with_those_it_knows(
    client: FlaskClient,
) -> None:
    response = client.get("/v1/classify")
    assert problem(response).status == 405
    assert response.headers["Allow"] == "POST"
    assert problem(client.options("/v1/model")).status == 405


@pytest.mark.parametrize("address", ["/v1/model", "/readyz"])
def test_without_a_model_the_service_is_unavailable_for_a_while(
    tmp_path: Path, address: str
) -> None:
    client = create_app(Settings(models=tmp_path / "models")).test_client()
    response = client.get(address)
    assert problem(response).status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"text": "a"}', "application/json"),
        (b"a", "text/plain"),
        (b'{"text": "a"}\n', "application/x-ndjson"),
    ],
)
def test_without_a_model_nothing_is_classified(tmp_path: Path, body: bytes, kind: str) -> None:
    client = create_app(Settings(models=tmp_path)).test_client()
    assert problem(client.post("/v1/classify", data=body, content_type=kind)).status == 503


def test_a_body_full_of_wrong_keys_gets_a_short_answer(classify: Post) -> None:
    body = json.dumps({"text": "a"} | {f"key{number}" * 100: 1 for number in range(1_000)})
    response = classify(body.encode())
    assert problem(response).status == 422
    assert len(response.data) < 10_000


def test_an_error_of_our_own_shows_nothing_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(models=tmp_path))

    @app.get("/fail")
    def fail() -> str:
        raise RuntimeError("in /secret/place")

    response = app.test_client().get("/fail")
    assert problem(response).status == 500
    assert b"secret" not in response.data
    assert "in /secret/place" in caplog.text
