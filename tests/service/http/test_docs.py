import json
import re
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient

from service.config import Settings
from service.http.openapi import document

# Addresses of our own machine's pages start with a slash.
OUTSIDE = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//""")
_BRACKETS = str.maketrans("<>", "{}")


@pytest.fixture
def published(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get("/openapi.json").data)
    return found


def test_every_route_is_described(app: Flask, published: dict[str, Any]) -> None:
    routes = {
        (rule.rule.translate(_BRACKETS), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD" and "path:" not in rule.rule
    }
    described = {
        (address, method) for address, methods in published["paths"].items() for method in methods
    }
    assert described == routes


def test_the_document_is_valid_openapi(published: dict[str, Any]) -> None:
    assert published["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(published).validate()
    for schema in published["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_schema_that_is_referred_to_exists(published: dict[str, Any]) -> None:
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(published)))
    assert referred <= set(published["components"]["schemas"])


def test_the_limits_of_the_settings_are_stated() -> None:
    settings = Settings(max_body_bytes=1234, max_paragraph_characters=345, max_texts=56)
    operation = document(settings)["paths"]["/v1/classify"]["post"]
    assert all(limit in operation["description"] for limit in ("1234", "345", "56"))


def test_the_page_asks_nothing_of_any_other_machine(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not OUTSIDE.search(page.text)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    with client.get("/static/docs.js") as script:
        assert "validatorUrl: null" in script.get_data(as_text=True)


def test_everything_that_the_page_loads_is_there(client: FlaskClient) -> None:
    loaded = re.findall(r'(?:src|href|data-document)="([^"]+)"', client.get("/docs").text)
    assert len(loaded) >= 5
    for address in loaded:
        with client.get(address) as response:
            assert response.status_code == 200
