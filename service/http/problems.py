"""Every error that leaves over HTTP, in the one shape of RFC 9457."""

import logging
from typing import Literal

from flask import Flask, Response
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from service.errors import GeotopicsError, ModelError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5  # a first training takes minutes, loading its model takes less than this

_MOST_ERRORS = 20  # a body of a million wrong keys shall not be answered with a million lines
_LONGEST_FIELD = 200  # characters; a key can be as long as the body

_DETAILS = {
    404: "There is nothing at this address; /openapi.json lists what there is.",
    405: "This address does not know this method; the header Allow lists those that it knows.",
}

# In place of pydantic's, which speak of Python.
_MESSAGES = {
    "extra_forbidden": "There is no such field",
    "model_type": "A JSON object is expected",
    "string_unicode": "A lone surrogate is no character",
}

_logger = logging.getLogger(__name__)


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(description="Where it stands, `texts.3` for example; empty for the whole.")
    detail: str = Field(description="Why it cannot be accepted.")


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: Literal["about:blank"] = Field(description="The status says it all.")
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What went wrong this time, and what to do.")
    errors: list[FieldError] = Field(description="The fields at fault, the first twenty of them.")


class ProblemError(GeotopicsError):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    status : int
        The HTTP status.
    detail : str
        What went wrong, and what to do.
    errors : tuple of FieldError
        The fields at fault, if it is about fields.
    """

    def __init__(self, status: int, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors

    @classmethod
    def of_validation(cls, error: ValidationError) -> "ProblemError":
        """Say of a body that is well-formed what is wrong with which field."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        errors = tuple(
            FieldError(
                field=_field(details["loc"]),
                detail=_MESSAGES.get(details["type"], details["msg"]),
            )
            for details in found[:_MOST_ERRORS]
        )
        return cls(422, "The request has fields that cannot be accepted.", errors)

    @classmethod
    def of_field(cls, status: int, field: str, detail: str) -> "ProblemError":
        """Say what is wrong with one field."""
        error = FieldError(field=field, detail=detail)
        return cls(status, "The request has fields that cannot be accepted.", (error,))

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer must have."""
        return {"Retry-After": str(RETRY_SECONDS)} if self.status == 503 else {}

    def problem(self) -> Problem:
        """Build the body of the answer."""
        return Problem(
            type="about:blank",
            title=HTTP_STATUS_CODES[self.status],
            status=self.status,
            detail=self.detail,
            errors=list(self.errors),
        )


def no_model() -> ProblemError:
    """Say that there is no model; what is wrong with one is for the log, not for strangers."""
    return ProblemError(503, "No model is loaded yet; train one with `make train`.")


def init_app(app: Flask) -> None:
    """Turn every error of an application into a problem."""
    app.register_error_handler(ProblemError, answer)
    app.register_error_handler(ModelError, lambda _: answer(no_model()))
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def answer(error: ProblemError) -> Response:
    """Answer a request with a problem."""
    return Response(
        error.problem().model_dump_json(),
        status=error.status,
        headers=error.headers,
        content_type=MEDIA_TYPE,
    )


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    detail = _DETAILS.get(status) or error.description or HTTP_STATUS_CODES[status]
    response = answer(ProblemError(status, detail))
    allow = error.get_response().headers.get("Allow")
    if allow:
        response.headers["Allow"] = allow
    return response


def _answer_unexpected(error: Exception) -> Response:
    _logger.error("unexpected error", exc_info=error)
    return answer(ProblemError(500, "The server failed; its log says why."))


def _field(location: tuple[int | str, ...]) -> str:
    path = ".".join(str(part) for part in location)
    shown = path.encode("utf-8", "replace").decode()
    return shown if len(shown) <= _LONGEST_FIELD else shown[:_LONGEST_FIELD] + "…"
