"""Says in one line what is wrong with a feed."""

import json
from collections.abc import Iterator
from xml.sax import SAXException

import requests
from reader import ParseError
from requests_hardened.ip_filter import InvalidIPAddress

from service.feeds.fetch import MAX_REDIRECTS, OutOfOrderError, TooLargeError

_GONE = 410
_LONGEST = 200  # characters
_NO_BRACKETS = str.maketrans("", "", "()'\"")


def describe(error: Exception) -> str:
    """Say what is wrong.

    Parameters
    ----------
    error : Exception
        What reader has reported of a feed, most often a `reader.ParseError` with its causes.

    Returns
    -------
    str
        One line without a full stop, of at most 200 characters.
    """
    causes = list(_causes(error))
    line = next((line for cause in reversed(causes) if (line := _known(cause))), None)
    return " ".join((line or f"cannot be read: {causes[-1]}").split())[:_LONGEST]


def is_gone(error: Exception) -> bool:
    """Tell whether a feed is gone for good (410)."""
    return any(
        isinstance(cause, requests.HTTPError) and cause.response.status_code == _GONE
        for cause in _causes(error)
    )


def _known(error: BaseException) -> str | None:  # noqa: PLR0911 - a table
    match error:
        case InvalidIPAddress():
            return f"is at the private address {error}; GEOTOPICS_ALLOW_PRIVATE=1 would allow that"
        case TooLargeError() | OutOfOrderError():
            return str(error)
        case requests.HTTPError():
            status, reason = error.response.status_code, error.response.reason
            return f"{status} {reason}" + (", not polled again" if status == _GONE else "")
        case requests.TooManyRedirects():
            return f"redirects more than {MAX_REDIRECTS} times"
        case requests.ConnectTimeout():
            return "the host does not answer"
        case requests.Timeout():
            return f"the answer {error}"
        case requests.exceptions.ContentDecodingError():
            return "is not compressed in the way it says"
        case requests.exceptions.SSLError():
            return f"has no valid certificate: {_last_words(error)}"
        case requests.ConnectionError():
            return f"cannot be reached: {_last_words(error)}"
        case SAXException():
            return f"is broken XML: {error}"
        case json.JSONDecodeError():
            return f"is broken JSON: {error}"
        case ParseError() if error.__cause__ is None:
            return f"is no feed: {error.message}"
    return None


def _last_words(error: BaseException) -> str:
    # urllib3 wraps reason into reason, each with the address once more.
    return str(error).rsplit(": ", 1)[-1].translate(_NO_BRACKETS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
