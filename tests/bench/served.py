"""Speed through HTTP: requests of one paragraph, of many, streams, the start, and memory."""

import contextlib
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import cast

from service.scorer import Scorer
from service.store import ModelStore
from tests.bench.rounds import ROUNDS, Line, thousands
from training.corpus import Paragraph

_FREE_PORT = 28_765
_CONNECTIONS = 8
GEOTOPICS = (str(Path(sys.executable).parent / "geotopics"), "serve")
# The settings are those of `service.serve`.
BARE = (
    *(sys.executable, "-m", "granian", "tests.bench.bare:app", "--interface", "wsgi", "--no-ws"),
    *("--port", str(_FREE_PORT), "--blocking-threads", "64", "--backpressure", "64"),
)
_SECONDS = 2.0  # of a round of single requests
_MANY = 500  # paragraphs in a request
_MEMORY_PARAGRAPHS = 100_000
_MIB = 1024  # KiB


@dataclass
class Server:
    """A server that answers."""

    port: int
    seconds: float  # from start to first answer
    pid: int

    def worker_rss(self) -> float:
        """Resident memory of the worker, in MiB; it is the largest child of the main process."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        sizes = [
            int(found[1])
            for child in children
            if (found := re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child}/status").read_text()))
        ]
        return max(sizes) / _MIB


def single_requests(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Compare requests a second with those of the bare view."""
    requests = [
        _request({"text": paragraph.text}, "application/json") for paragraph in paragraphs[:2_000]
    ]
    with served(GEOTOPICS, store) as own, served(BARE, store) as bare:
        rates: dict[int, list[float]] = {own.port: [], bare.port: []}
        for turn in range(ROUNDS + 1):
            for port, found in rates.items():
                rate = _requests_per_second(port, requests)
                if turn:
                    found.append(rate)
        rate, bare_rate = map(statistics.median, rates.values())
    yield Line(
        "HTTP, one paragraph a request, against a bare view",
        100 * rate / bare_rate,
        "%",
        80,
        92,
        f"{thousands(rate)} of {thousands(bare_rate)} requests/s",
    )


def many_paragraphs(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Compare paragraphs a second in requests of 500, and in one stream, with the scorer alone."""
    texts = [paragraph.text for paragraph in paragraphs]
    texts = texts[: len(texts) // _MANY * _MANY]
    scorer = Scorer(store.load_arrays(str(store.current()))[1])
    batches = [
        _request({"texts": texts[start : start + _MANY]}, "application/json")
        for start in range(0, len(texts), _MANY)
    ]
    lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    stream = _raw_request(lines, "application/x-ndjson")
    rates: dict[str, list[float]] = {"alone": [], "requests": [], "stream": []}
    with served(GEOTOPICS, store) as server:
        for turn in range(ROUNDS + 1):
            seconds = {
                "alone": _seconds_of(lambda: scorer.score(texts)),
                "requests": _seconds_of(lambda: [_ask(server.port, body) for body in batches]),
                "stream": _seconds_of(lambda: _ask(server.port, stream)),
            }
            for way, taken in seconds.items():
                if turn:
                    rates[way].append(len(texts) / taken)
    alone, by_request, by_stream = (statistics.median(found) for found in rates.values())
    for measure, rate in (
        ("HTTP, requests of 500, against the scorer alone", by_request),
        ("HTTP, one NDJSON stream, against the scorer alone", by_stream),
    ):
        yield Line(measure, 100 * rate / alone, "%", 25, 50, f"{thousands(rate)} paragraphs/s")


def start_and_memory(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Time starts to the first answer, and weigh a worker after 100,000 paragraphs."""
    seconds = []
    for _ in range(ROUNDS):
        with served(GEOTOPICS, store) as server:
            seconds.append(server.seconds)
    yield Line("start to first answer", statistics.median(seconds), "s", 1.5, 0.8, below=True)

    texts = [paragraph.text for paragraph in paragraphs]
    batches = [
        _request({"texts": texts[start : start + _MANY]}, "application/json")
        for start in range(0, len(texts), _MANY)
    ]
    sizes = []
    for command in (GEOTOPICS, BARE):
        with served(command, store) as server:
            for body in islice(cycle(batches), _MEMORY_PARAGRAPHS // _MANY):
                _ask(server.port, body)
            sizes.append(server.worker_rss())
    own, bare = sizes
    yield Line(
        "memory of a worker above an empty Flask worker",
        own - bare,
        "MiB",
        80,
        40,
        f"{own:.0f} and {bare:.0f} MiB resident",
        below=True,
    )


@contextlib.contextmanager
def served(command: Sequence[str], store: ModelStore) -> Iterator[Server]:
    """Start a server on a free port, wait for its first answer, and end it."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"GEOTOPICS_PORT": "0", "GEOTOPICS_MODELS": str(store.root)},
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"isten\S* at:? http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
                break
        else:
            raise RuntimeError(f"{' '.join(command)} has ended without listening")
        # Nobody reads the log from here on, so it must not fill the pipe: servers log nothing then.
        body = _request({"text": "Tariffs on steel were raised."}, "application/json")
        try:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    _ask(port, body)
                    break
            yield Server(port, time.perf_counter() - begun, process.pid)
        finally:
            process.terminate()


def _seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _request(body: object, media_type: str) -> bytes:
    return _raw_request(json.dumps(body).encode(), media_type)


def _raw_request(body: bytes, media_type: str) -> bytes:
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ask(port: int, request: bytes) -> bytes:
    """Send a request, reading the answer meanwhile, and return the answer as it came."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        request = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        sender = threading.Thread(target=connection.sendall, args=(request,))
        sender.start()
        received = bytearray()
        while block := connection.recv(1 << 16):
            received += block
        sender.join()
    if not received.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {bytes(received[:300])!r}")
    return bytes(received)


def _requests_per_second(port: int, requests: Sequence[bytes]) -> float:
    """Keep some connections busy for a while, each with one request at a time."""
    selector = selectors.DefaultSelector()
    answered = 0
    with contextlib.ExitStack() as stack:
        for number in range(_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(requests[number])
            selector.register(connection, selectors.EVENT_READ)
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + _SECONDS:
            for key, _ in selector.select():
                connection = cast(socket.socket, key.fileobj)
                _receive(connection)
                answered += 1
                connection.sendall(requests[answered % len(requests)])
    return answered / (now - begun)


def _receive(connection: socket.socket) -> None:
    """Receive one small answer, which may come in pieces."""
    received = b""
    while True:
        received += connection.recv(1 << 16)
        head, end, body = received.partition(b"\r\n\r\n")
        if not received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {received[:300]!r}")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length and len(body) == int(length[1]):
            return
