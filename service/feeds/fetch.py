"""Retrieves feeds and pages from hosts that nobody has vouched for.

A `requests` session gets adapters that

* connect to public addresses only, unless private ones are allowed. The name is resolved once, the
  address is checked, and that address is connected to; every redirect goes the same way;
* end a request after `TOTAL_SECONDS`, also one that drips a byte a second, header or body;
* read a body up to `MAX_BYTES` after decompression, which a zip bomb does not pass;
* follow `MAX_REDIRECTS` redirects;
* send one request at a time to a host, and none while it asks to wait (429 or 503 with Retry-After)
  or has not been answering.

For the check of addresses these were compared: `requests-hardened` (kept by the makers of the shop
software Saleor, small, pins the address it has checked and keeps the host's name for TLS), the one
used; `advocate` and its forks (no release for current urllib3, the original unmaintained since
2020); a transport for httpx (reader is built on requests); an own urllib3 connection that looks at
``getpeername`` (has by then connected to what it should not). The rest is of a kind that libraries
leave to their users: requests has a time limit for single reads only, and none for size.
"""

import socket
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from reader._parser import HTTPInfo
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

USER_AGENT = f"geotopics/{version('geotopics')} (feed reader; tags news by topic)"
CONNECT_SECONDS = 10
TOTAL_SECONDS = 30  # for one request, from the host's turn to the last byte
MAX_BYTES = 8 * 1024 * 1024  # of a body; 19,000 items, which take feedparser three seconds
MAX_REDIRECTS = 5
SILENT_TIMES = 3  # failures to answer in a row that make a host count as out of order …
SILENT_SECONDS = 300  # … for so long
MAX_WAIT_SECONDS = 31 * 24 * 3600  # reader's own limit; who asks for more has made a mistake

_CHUNK_BYTES = 65_536
_MEMORY_BYTES = 262_144  # of a body; the rest of a longer one waits in a file
_ASK_TO_WAIT = (429, 503)
_UNDONE_HEADERS = ("content-encoding", "content-length", "transfer-encoding")
_TIMING_HEADERS = ("retry-after", "cache-control", "expires", "date")


class TooLargeError(requests.RequestException):
    """A body is larger than `MAX_BYTES`."""


class OutOfOrderError(requests.ConnectionError):
    """A host has not answered lately and is not asked for now."""


def secure(session: requests.Session, *, allow_private: bool) -> None:
    """Make a session safe, bounded and polite; see the module for what that is.

    Parameters
    ----------
    session : requests.Session
        Its adapters are replaced. Responses come with their whole body already read. It raises
        `requests.RequestException` for whatever is wrong.
    allow_private : bool
        Whether it may connect to private, loopback and link-local addresses.
    """
    hosts: defaultdict[str, _Host] = defaultdict(_Host)
    session.headers["User-Agent"] = USER_AGENT
    session.max_redirects = MAX_REDIRECTS
    for scheme in ("http", "https"):
        adapter = _BoundedAdapter() if allow_private else _PublicBoundedAdapter(scheme == "https")
        adapter.hosts = hosts
        session.mount(f"{scheme}://", adapter)


class _Host:
    """What is known of a host; shared by all feeds that are there."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.asked_to_wait: requests.Response | None = None
        self.free_at = 0.0  # on the monotonic clock
        self.silences = 0

    def refusal(self, request: requests.PreparedRequest) -> requests.Response | None:
        """Answer in the host's place while it is not to be asked.

        Raises
        ------
        OutOfOrderError
            It did not answer the last few times.
        """
        left = self.free_at - time.monotonic()
        if left <= 0:
            return None
        if self.asked_to_wait is None:
            raise OutOfOrderError("the host has not been answering; tried again later")
        answer = requests.Response()
        answer.status_code = self.asked_to_wait.status_code
        answer.reason = self.asked_to_wait.reason
        answer.url = request.url or ""
        answer.request = request
        answer.headers["Retry-After"] = str(int(left) + 1)
        answer.raw = HTTPResponse(BytesIO(), preload_content=False)
        return answer

    def note(self, answer: requests.Response | None) -> None:
        """Remember what the host said, or that it said nothing."""
        self.silences = 0 if answer is not None else self.silences + 1
        self.asked_to_wait = None
        if answer is None and self.silences >= SILENT_TIMES:
            self.free_at = time.monotonic() + SILENT_SECONDS
        elif answer is not None and answer.status_code in _ASK_TO_WAIT:
            wait = _seconds_to_wait(answer.status_code, answer.headers, ("retry-after",))
            if wait is not None:
                self.asked_to_wait = answer
                self.free_at = time.monotonic() + min(wait, MAX_WAIT_SECONDS)


class _BoundedAdapter(HTTPAdapter):
    hosts: defaultdict[str, _Host]

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        host = self.hosts[urlsplit(request.url or "").netloc.lower()]
        with host.turn:
            refusal = host.refusal(request)
            if refusal is not None:
                return refusal
            # The time limit comes first, and says what is wrong.
            options |= {"stream": True, "timeout": (CONNECT_SECONDS, 2 * TOTAL_SECONDS)}
            try:
                with _TimeLimit(), super().send(request, **options) as response:
                    whole = self._read(request, response)
            except (requests.ConnectionError, requests.Timeout):
                host.note(None)
                raise
            host.note(whole)
            return whole

    def _read(
        self, request: requests.PreparedRequest, response: requests.Response
    ) -> requests.Response:
        body = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - the response closes it
        try:
            for chunk in response.iter_content(_CHUNK_BYTES):
                body.write(chunk)
                if body.tell() > MAX_BYTES:
                    raise TooLargeError(f"larger than {MAX_BYTES // 1024**2} MB")
        except BaseException:
            body.close()
            raise
        body.seek(0)
        # In small letters, in which feedparser looks for the one that names the encoding.
        headers = HTTPHeaderDict(
            (name.lower(), value)
            for name, value in response.raw.headers.items()
            if name.lower() not in _UNDONE_HEADERS
        )
        try:
            _seconds_to_wait(response.status_code, headers, _TIMING_HEADERS)
        except OverflowError:
            # A time thousands of years away, which would end reader's update of all feeds.
            for name in _TIMING_HEADERS:
                headers.discard(name)
        whole = HTTPResponse(
            body=body,
            headers=headers,
            status=response.status_code,
            reason=response.reason,
            preload_content=False,
        )
        return self.build_response(request, whole)


class _PublicBoundedAdapter(_BoundedAdapter, IPFilterAdapter):  # type: ignore[misc]
    def __init__(self, is_https: bool) -> None:
        IPFilterAdapter.__init__(self, is_https_proto=is_https)


class _TimeLimit:
    """Shuts the connection in use when `TOTAL_SECONDS` are over; for one request in one thread."""

    def __init__(self) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(TOTAL_SECONDS, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        _in_this_thread.limit = self
        self._timer.start()

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        self._timer.cancel()
        # A body without a length merely seems to have ended where the connection was shut.
        if self.over and (error is None or isinstance(error, requests.RequestException)):
            raise requests.Timeout(f"took more than {TOTAL_SECONDS} seconds") from None

    def watch(self, connected: socket.socket) -> None:
        self._socket = connected
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket, which must be used in one thread only.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


_in_this_thread = threading.local()


class _HTTPConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3
        _in_this_thread.limit.watch(self.sock)
        return super().getresponse()


class _HTTPSConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3
        _in_this_thread.limit.watch(self.sock)
        return super().getresponse()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _seconds_to_wait(status: int, headers: Mapping[str, str], names: Sequence[str]) -> float | None:
    """Work out, as reader will, until when some headers forbid to ask again."""
    now = datetime.now(UTC)
    known = {name: headers[name] for name in names if name in headers}
    until = HTTPInfo(status, known).get_update_after(now)
    return None if until is None else (until - now).total_seconds()
