"""Sends what the published document allows, and what it forbids; holds the answers against it."""

from typing import Any

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection

from service.config import Settings
from service.http.classify import NDJSON
from service.http.openapi import document

EXAMPLES = 200  # per operation; the whole run takes a few seconds

published = schemathesis.openapi.from_dict(document(Settings.model_construct()))


@schemathesis.serializer(NDJSON)
def write_lines(_: schemathesis.SerializationContext, lines: Any) -> bytes:
    return str(lines).encode()


@schemathesis.deserializer(NDJSON)
def read_lines(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> str:
    return response.content.decode()


@published.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_describes(
    case: schemathesis.Case[Any], app: Flask
) -> None:
    # A stream answers a bad line in its place, so that no stream is ever refused as a whole.
    refused = case.media_type != NDJSON
    excluded: list[schemathesis.CheckFunction] = [] if refused else [negative_data_rejection]
    # Without a network between, nobody unpacks what is compressed.
    case.call_and_validate(
        app=app, headers={"Accept-Encoding": "identity"}, excluded_checks=excluded
    )
