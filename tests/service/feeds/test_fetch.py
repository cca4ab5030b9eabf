import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3.util.connection
from requests_hardened.ip_filter import InvalidIPAddress

from service.feeds import fetch
from service.feeds.fetch import OutOfOrderError
from tests.service.feeds import server as answers
from tests.service.feeds.server import FeedServer

PUBLIC = "93.184.215.14"


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were to be connected to; nothing is sent to any."""
    tried: list[str] = []

    def refuse(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    return tried


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        fetch.secure(opened, allow_private=False)
        yield opened


@pytest.fixture
def trusting() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        fetch.secure(opened, allow_private=True)
        yield opened


def resolver(*answers: str) -> Callable[..., list[Any]]:
    """Answer with one address after the other, and with the last for ever."""
    left = list(answers)

    def resolve(_: str, port: int, *__: Any, **___: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, socket.SOCK_STREAM, 6, "", place)]

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_to_a_private_address_is_refused_before_connecting(
    session: requests.Session,
    connected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    scheme: str,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(address))
    with pytest.raises(InvalidIPAddress):
        session.get(f"{scheme}://feeds.example/a.rss")
    assert connected == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
def test_a_private_address_in_any_spelling_is_refused(
    session: requests.Session, connected: list[str], host: str
) -> None:
    with pytest.raises((InvalidIPAddress, requests.exceptions.InvalidURL)):
        session.get(f"http://{host}/")
    assert connected == []


def test_the_address_that_was_checked_is_the_one_connected_to(
    session: requests.Session, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(PUBLIC, "127.0.0.1"))
    with pytest.raises(requests.ConnectionError):
        session.get("http://rebinding.example/")
    assert connected == [PUBLIC]


def test_a_redirect_to_a_private_address_is_refused(
    session: requests.Session, server: FeedServer
) -> None:
    # Only the first step may go to this machine.
    session.get_adapter("http://")._allow_loopback = True  # type: ignore[attr-defined]
    server.answers["/away"] = answers.redirect(302, answers.PRIVATE)
    with pytest.raises(InvalidIPAddress, match=r"169\.254\.169\.254"):
        session.get(server.url("/away"))


def test_requests_say_who_asks(trusting: requests.Session, server: FeedServer) -> None:
    assert trusting.get(server.url("/atom.xml")).ok
    assert server.headers_seen["/atom.xml"]["User-Agent"].startswith("geotopics/")


def test_a_compressed_body_is_unpacked_once(trusting: requests.Session, server: FeedServer) -> None:
    server.answers["/z"] = answers.gzipped(b"<rss/>")
    response = trusting.get(server.url("/z"))
    assert response.content == b"<rss/>"
    assert "content-encoding" not in response.headers


def test_a_host_that_asks_to_wait_is_not_asked_again(
    trusting: requests.Session, server: FeedServer
) -> None:
    server.answers["/busy"] = answers.of_status(429, Retry_After="600")
    assert trusting.get(server.url("/busy")).status_code == 429
    other = trusting.get(server.url("/atom.xml"))
    assert other.status_code == 429
    assert 590 < int(other.headers["Retry-After"]) <= 600
    assert server.requests["/atom.xml"] == 0


def test_a_host_that_never_answers_is_left_alone_after_a_few_times(
    trusting: requests.Session,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for _ in range(fetch.SILENT_TIMES):
        with pytest.raises(requests.ConnectionError, match="refused"):
            trusting.get(f"http://127.0.0.1:{port}/")
    with pytest.raises(OutOfOrderError):
        trusting.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "9" * 18},
        {"Cache_Control": "max-age=" + "9" * 18},
        {"Expires": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": "Mon, 02 Mar 2026 08:00:00 GMT"},
    ],
)
def test_a_pause_of_thousands_of_years_is_not_believed(
    trusting: requests.Session, server: FeedServer, headers: dict[str, str]
) -> None:
    server.answers["/ages"] = answers.of_status(429, **headers)
    response = trusting.get(server.url("/ages"))
    assert not {"retry-after", "cache-control", "expires"} & set(response.headers)
