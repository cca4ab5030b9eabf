"""Reads request bodies strictly: what others silently cut, repair or misread is refused."""

import json
from functools import lru_cache
from typing import Any, NoReturn

from flask import Request
from werkzeug.http import parse_options_header

from service.http.problems import ProblemError


def media_type(request: Request) -> str:
    """Return the media type, in small letters, of a body that is plain UTF-8.

    Raises
    ------
    ProblemError
        It is compressed or in another character set.
    """
    if request.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise ProblemError(415, "The body must not be compressed.")
    found, charset = _parsed(request.environ.get("CONTENT_TYPE", ""))
    if charset not in ("utf-8", "utf8"):
        raise ProblemError(415, "The body must be in UTF-8.")
    return found


@lru_cache(100)
def _parsed(content_type: str) -> tuple[str, str]:
    found, options = parse_options_header(content_type)
    return found.lower(), options.get("charset", "utf-8").lower()


def read(request: Request, limit: int) -> bytes:
    """Read a body whole.

    Parameters
    ----------
    request : Request
        Whose body.
    limit : int
        Bytes that it may have.

    Returns
    -------
    bytes

    Raises
    ------
    ProblemError
        The body is larger, or shorter than announced.
    """
    announced = request.content_length
    if announced is None:
        # Werkzeug's own limit cuts a body of unannounced length instead of refusing it.
        body = bytearray()
        while block := request.stream.read(limit + 1 - len(body)):
            body += block
        if len(body) <= limit:
            return bytes(body)
    elif announced <= limit:
        # What `request.get_data` wraps around the same read takes a tenth of a small request.
        whole: bytes = request.environ["wsgi.input"].read(announced)
        if len(whole) < announced:
            raise ProblemError(400, "The body ended early.")
        return whole
    raise ProblemError(413, f"The body may have at most {limit} bytes.")


def text(body: bytes) -> str:
    """Read a body as text.

    Raises
    ------
    ProblemError
        It is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ProblemError(400, f"Not UTF-8 (byte {error.start}).") from None


def document(body: bytes) -> Any:
    """Read a body as a JSON document; no field of a request is an object, and none comes as one.

    Raises
    ------
    ProblemError
        It is not JSON as RFC 8259 has it, is an object that repeats a key, or is nested too deeply.
    """
    try:
        found = _DECODER.decode(text(body))
    except RecursionError:
        raise ProblemError(400, "Nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise ProblemError(
            400, f"Not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        raise ProblemError(400, "A number in it is too long.") from None
    if not isinstance(found, _Pairs):
        return found
    fields = dict(found)
    if len(fields) != len(found):
        raise ProblemError(400, "A key stands twice in the same object.")
    return fields


class _Pairs(tuple[Any, ...]):
    """The keys and values of an object; within another they are what strict models refuse."""

    __slots__ = ()


def _constant(name: str) -> NoReturn:
    raise ProblemError(400, f"Not JSON: {name} is no JSON value.")


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_constant)
