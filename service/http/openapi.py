"""The OpenAPI 3.1 document: routes are written down here, schemas come from the pydantic models."""

from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.config import Settings
from service.feeds.syndication import FORMATS
from service.http import problems, schemas
from service.http.classify import JSON, NDJSON, PLAIN
from service.http.feeds import CHOICES, OPML

FORM = "application/x-www-form-urlencoded"
HTML = "text/html"

_SOURCES: tuple[tuple[type[BaseModel], Literal["validation", "serialization"]], ...] = (
    (schemas.TextRequest, "validation"),
    (schemas.TextsRequest, "validation"),
    (schemas.ArticleRequest, "validation"),
    (schemas.LineRequest, "validation"),
    (schemas.TextAnswer, "serialization"),
    (schemas.TextsAnswer, "serialization"),
    (schemas.ArticleAnswer, "serialization"),
    (schemas.LineAnswer, "serialization"),
    (schemas.LineError, "serialization"),
    (schemas.ModelAnswer, "serialization"),
    (schemas.EntriesAnswer, "serialization"),
    (schemas.FeedsStatusAnswer, "serialization"),
    (schemas.HealthAnswer, "serialization"),
    (schemas.ReadyAnswer, "serialization"),
    (problems.Problem, "serialization"),
)

_PROBLEMS = {
    400: "The body cannot be read: it is not UTF-8, not JSON, or repeats a key.",
    404: "There is no such feed.",
    413: "The body, a paragraph or the number of paragraphs is too large.",
    415: "The body is of a media type, character set or encoding that is not read here.",
    422: "A field or parameter is missing, unknown, blank or of another type; `errors` names it.",
    503: "No model is loaded, or no feeds can be read; try again after `Retry-After` seconds.",
}


def document(settings: Settings) -> dict[str, Any]:
    """Build the document.

    Parameters
    ----------
    settings : Settings
        The limits that it states.

    Returns
    -------
    dict
        An OpenAPI 3.1 document.
    """
    _, definitions = models_json_schema(_SOURCES, ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "geotopics",
            "version": version("geotopics"),
            "description": "Tags paragraphs of news with four topics. Every error is "
            f"`{problems.MEDIA_TYPE}`, also those of an unknown route (404) or method (405); the "
            "page at `/` shows the same as text.",
        },
        "paths": {
            "/v1/classify": {"post": _classify(settings)},
            "/v1/model": {
                "get": _operation(
                    "model",
                    "The model that answers, its topics and how good it is",
                    {JSON: _ref(schemas.ModelAnswer)},
                    503,
                )
            },
            "/v1/entries": {"get": _entries()},
            "/v1/feeds/status": {
                "get": _operation(
                    "feedsStatus",
                    "How far the entries of feeds have been tagged with the model",
                    {JSON: _ref(schemas.FeedsStatusAnswer)},
                    503,
                )
            },
            "/feeds/{topic}.{form}": {"get": _feed()},
            "/opml": {
                "get": _operation(
                    "opml", "The topic feeds, for a reader to import", {OPML: _page()}
                )
            },
            "/healthz": {
                "get": _operation(
                    "health", "Whether the process answers", {JSON: _ref(schemas.HealthAnswer)}
                )
            },
            "/readyz": {
                "get": _operation(
                    "ready", "Whether a model is loaded", {JSON: _ref(schemas.ReadyAnswer)}, 503
                )
            },
            "/openapi.json": {
                "get": _operation("openapi", "This document", {JSON: {"type": "object"}})
            },
            "/docs": {"get": _operation("docs", "This document as a page", {HTML: _page()})},
            "/": {
                "get": _operation("home", "A page to try it", {HTML: _page()}),
                "post": _form(),
            },
        },
        "components": {"schemas": definitions["$defs"]},
    }


def _classify(settings: Settings) -> dict[str, Any]:
    operation = _operation(
        "classify",
        "Tag a paragraph, many, an article, or a stream of lines",
        {
            JSON: {
                "oneOf": [
                    _ref(schemas.TextAnswer),
                    _ref(schemas.TextsAnswer),
                    _ref(schemas.ArticleAnswer),
                ]
            },
            NDJSON: _lines({"anyOf": [_ref(schemas.LineAnswer), _ref(schemas.LineError)]}),
        },
        *_PROBLEMS,
    )
    operation["description"] = (
        f"A body may have {settings.max_body_bytes} bytes, a paragraph "
        f"{settings.max_paragraph_characters} characters, a request {settings.max_texts} "
        "paragraphs.\n\n"
        f"`{NDJSON}` is a stream of any number of lines, each a LineRequest of at most "
        f"{settings.max_body_bytes} bytes. Every line gets one line in answer, in the same order: "
        "a LineAnswer, or a LineError in the place of a bad line. Lines of a body that comes with "
        "a `Content-Length` are answered many at a time, which is fastest; those of any other body "
        "one at a time, as they come."
    )
    operation["requestBody"] = {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [
                        _ref(schemas.TextRequest),
                        _ref(schemas.TextsRequest),
                        _ref(schemas.ArticleRequest),
                    ]
                }
            },
            PLAIN: {"schema": {"type": "string", "pattern": r"\S"}},
            NDJSON: {
                "schema": _lines(_ref(schemas.LineRequest)),
                "example": '{"id": 1, "text": "Tariffs on steel were raised."}\n',
            },
        },
    }
    return operation


def _entries() -> dict[str, Any]:
    operation = _operation(
        "entries",
        "Entries of feeds that carry a topic, newest first",
        {JSON: _ref(schemas.EntriesAnswer)},
        422,
        503,
    )
    operation["parameters"] = _parameters(schemas.EntriesQuery)
    return operation


def _feed() -> dict[str, Any]:
    formats: dict[str, dict[str, Any]] = {media_type: {} for media_type, _ in FORMATS.values()}
    operation = _operation(
        "feed", "The same as a feed: Atom, RSS 2.0 or JSON Feed 1.1", formats, 404, 422, 503
    )
    operation["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"enum": list(values)}}
        for name, values in (("topic", CHOICES), ("form", FORMATS))
    ] + _parameters(schemas.FeedQuery)
    return operation


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description"),
            "explode": False,  # several topics stand behind one another, with commas
            "schema": {key: value for key, value in schema.items() if value not in (None, "")},
        }
        for name, schema in query.model_json_schema()["properties"].items()
    ]


def _form() -> dict[str, Any]:
    operation = _operation("tryText", "The page, with a text and its tags", {HTML: _page()})
    for status in (400, 413, 415, 422, 503):
        operation["responses"][str(status)] = {
            "description": _PROBLEMS[status],
            "content": {HTML: {"schema": _page()}},
        }
    operation["requestBody"] = {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {"text": {"type": "string", "pattern": r"\S"}},
                    "required": ["text"],
                }
            }
        },
    }
    return operation


def _operation(
    name: str, summary: str, answers: dict[str, dict[str, Any]], *statuses: int
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "The answer.",
            "content": {kind: {"schema": schema} for kind, schema in answers.items()},
        }
    }
    for status in statuses:
        responses[str(status)] = _problem(status)
    return {"operationId": name, "summary": summary, "responses": responses}


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {problems.MEDIA_TYPE: {"schema": _ref(problems.Problem)}},
    }
    if status == 503:
        found["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return found


def _lines(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "string",
        "contentMediaType": NDJSON,
        "contentSchema": {"type": "array", "items": line},
        "description": "One item a line, without brackets and commas.",
    }


def _page() -> dict[str, Any]:
    return {"type": "string"}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
