"""``POST /v1/classify``: tags one paragraph, many, an article, or a stream of lines."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError

from service import lines
from service.classifier import Classifier
from service.config import Settings
from service.current import CurrentModel
from service.http import bodies
from service.http.problems import ProblemError
from service.http.schemas import (
    ArticleRequest,
    ClassifyRequest,
    LineError,
    LineRequest,
    TextRequest,
    TextsRequest,
    read_request,
    result_fields,
)
from service.text import split_paragraphs

JSON = "application/json"
PLAIN = "text/plain"
NDJSON = "application/x-ndjson"
_BLOCK_BYTES = 262_144  # some eight hundred lines of news


def blueprint(settings: Settings, current: CurrentModel) -> Blueprint:
    """Build the routes of classification."""
    routes = Blueprint("classify", __name__)

    @routes.post("/v1/classify")
    def classify() -> Response:
        media_type = bodies.media_type(request)
        if media_type == NDJSON:
            return answer_lines()
        if media_type not in _READERS:
            raise ProblemError(415, f"The body must be {JSON}, {PLAIN} or {NDJSON}.")
        body = bodies.read(request, settings.max_body_bytes)
        try:
            asked = _READERS[media_type](body)
        except ValidationError as error:
            raise ProblemError.of_validation(error) from None
        check_limits(asked, settings)
        return Response(_ENCODER.encode(answer(current.get(), asked)), content_type=JSON)

    def answer_lines() -> Response:
        # Granian's `readline` loses lines, and its `read` waits until all bytes are there. So a
        # body of unannounced length, behind which a client may be waiting for an answer before it
        # sends the next line, is read byte by byte.
        size = 1 if request.content_length is None else _BLOCK_BYTES
        batches = lines.batches(partial(request.stream.read, size), settings.max_body_bytes)
        return Response(_answer_lines(current.get(), batches, settings), content_type=NDJSON)

    return routes


def check_limits(asked: ClassifyRequest, settings: Settings) -> None:
    """Refuse what is longer than the settings allow.

    Raises
    ------
    ProblemError
        There are too many paragraphs, or one is too long.
    """
    if isinstance(asked, TextRequest) and len(asked.text) <= settings.max_paragraph_characters:
        return
    if isinstance(asked, TextsRequest):
        kind = "texts"
        sizes = [*map(len, asked.texts)]
    elif isinstance(asked, ArticleRequest):
        kind = "article"
        sizes = [end - start for start, end in split_paragraphs(asked.article)]
    else:
        kind = "text"
        sizes = [len(asked.text)]
    if len(sizes) > settings.max_texts:
        raise ProblemError.of_field(
            413, kind, f"A request may have at most {settings.max_texts} paragraphs"
        )
    longest = max(sizes, default=0)
    if longest > settings.max_paragraph_characters:
        raise ProblemError.of_field(
            413,
            kind if kind == "text" else f"{kind}.{sizes.index(longest)}",
            f"A paragraph may have at most {settings.max_paragraph_characters} characters",
        )


def answer(classifier: Classifier, asked: ClassifyRequest) -> dict[str, Any]:
    """Answer a request that is within the limits: a `TextAnswer`, `TextsAnswer` or `ArticleAnswer`.

    It is built from what the classifier promises, so it is not validated anew; tests hold it to the
    OpenAPI document.
    """
    version = classifier.manifest.version
    if isinstance(asked, TextRequest):
        [result] = classifier.classify([asked.text], explain=asked.explain)
        return result_fields(result) | {"model": version}
    if isinstance(asked, TextsRequest):
        results = classifier.classify(asked.texts, explain=asked.explain)
        return {"results": [result_fields(result) for result in results], "model": version}
    article = classifier.classify_article(asked.article, explain=asked.explain)
    return {
        "topics": article.topics,
        "primary": article.primary,
        "scores": article.scores,
        "paragraphs": [
            span._asdict() | result_fields(result) for span, result in article.paragraphs
        ],
        "model": version,
    }


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


_ENCODER = msgspec.json.Encoder(enc_hook=_dump)
_READERS: dict[str, Callable[[bytes], ClassifyRequest]] = {
    JSON: lambda body: read_request(bodies.document(body)),
    PLAIN: lambda body: TextRequest(text=bodies.text(body)),
}


def _answer_lines(
    classifier: Classifier, batches: Iterator[list[bytes | None]], settings: Settings
) -> Iterator[bytes]:
    number = 0
    for batch in batches:
        asked = [_read_line(line, settings) for line in batch]
        yield _ENCODER.encode_lines(_answer_batch(classifier, asked, number))
        number += len(batch)


def _read_line(line: bytes | None, settings: Settings) -> LineRequest | ProblemError:
    if line is None:
        return ProblemError(413, f"A line may have at most {settings.max_body_bytes} bytes.")
    try:
        asked = LineRequest.model_validate(bodies.document(line))
        check_limits(asked, settings)
    except ValidationError as error:
        return ProblemError.of_validation(error)
    except ProblemError as error:
        return error
    return asked


def _answer_batch(
    classifier: Classifier, batch: list[LineRequest | ProblemError], before: int
) -> Iterator[dict[str, Any] | LineError]:
    # Explaining costs far more than classifying, so only the lines that ask for it pay.
    plain, explained = (
        iter(
            classifier.classify(
                [
                    asked.text
                    for asked in batch
                    if isinstance(asked, LineRequest) and asked.explain is explain
                ],
                explain=explain,
            )
        )
        for explain in (False, True)
    )
    for number, asked in enumerate(batch, start=before + 1):
        if isinstance(asked, ProblemError):
            yield LineError(line=number, error=asked.problem())
        else:
            fields = result_fields(next(explained if asked.explain else plain))
            fields["model"] = classifier.manifest.version
            if asked.id is not None:
                fields["id"] = asked.id
            yield fields
