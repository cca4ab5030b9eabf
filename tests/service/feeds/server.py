"""A web server of feeds, good and bad, in the tests' own process; each path is one kind."""

import gzip
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = Path(__file__).parent / "files"
PRIVATE = "http://169.254.169.254/latest/meta-data"  # is refused before anything is sent

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with what its server holds under the path."""

    server: "FeedServer"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.requests[path] += 1
        self.server.headers_seen[path] = dict(self.headers)
        answer = self.server.answers.get(path)
        if answer is not None:
            answer(self)
        else:
            self.reply(404)

    do_POST = do_GET  # noqa: N815 - so that receivers of webhooks can be among them

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        # A date of its own replaces the usual one.
        (self.send_response_only if "Date" in headers else self.send_response)(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class FeedServer(ThreadingHTTPServer):
    """What it answers can be changed while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        _bomb()  # takes longer than some tests wait
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = threading.Event()
        self.requests: Counter[str] = Counter()
        self.headers_seen: dict[str, dict[str, str]] = {}
        self.answers: dict[str, Answer] = {
            f"/{path.name}": of_file(path) for path in FILES.iterdir()
        }

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what is being tested."""


@contextmanager
def serving() -> Iterator[FeedServer]:
    server = FeedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def of_file(path: Path) -> Answer:
    kinds = {".json": "application/feed+json", ".html": "text/html", ".txt": "text/plain"}
    return of_bytes(path.read_bytes(), kinds.get(path.suffix, "application/xml"))


def of_bytes(body: bytes, kind: str = "application/xml") -> Answer:
    tag = f'"{zlib.crc32(body)}"'

    def answer(handler: Handler) -> None:
        if handler.headers.get("If-None-Match") == tag:
            handler.reply(304, ETag=tag)
        else:
            handler.reply(200, body, Content_Type=kind, ETag=tag)

    return answer


def of_status(status: int, **headers: str) -> Answer:
    return lambda handler: handler.reply(status, b"", **headers)


def redirect(status: int, location: str) -> Answer:
    return of_status(status, Location=location)


def hang(handler: Handler) -> None:
    handler.server.ended.wait(20)


def drip_header(handler: Handler) -> None:
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200)


def drip_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _drip(handler, b"<rss version='2.0'>" + b" " * 200)


def _drip(handler: Handler, data: bytes) -> None:
    for byte in data:
        if handler.server.ended.wait(0.1):
            return
        handler.wfile.write(bytes([byte]))


def huge(handler: Handler) -> None:
    """Stream 200 MB, a part at a time."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/rss+xml")
    handler.end_headers()
    handler.wfile.write(b"<rss version='2.0'><channel><title>")
    for _ in range(200):
        handler.wfile.write(b"x" * 1024 * 1024)


def zip_bomb(handler: Handler) -> None:
    """Two hundred kilobytes that would be 200 MB."""
    handler.reply(200, _bomb(), Content_Type="application/rss+xml", Content_Encoding="gzip")


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(bytes(1024 * 1024)) for _ in range(200)]
    return b"".join(parts) + packer.flush()


def not_gzip(handler: Handler) -> None:
    handler.reply(200, b"plain", Content_Type="application/rss+xml", Content_Encoding="gzip")


def gzipped(body: bytes) -> Answer:
    return lambda handler: handler.reply(
        200, gzip.compress(body), Content_Type="application/rss+xml", Content_Encoding="gzip"
    )
