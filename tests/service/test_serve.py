import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.config import Settings
from service.serve import ServeError, run
from service.store import ModelStore

START = "from service.config import load; from service.serve import run; run(load())"
PATIENCE = 60  # seconds until a test that hangs is given up


@pytest.fixture
def server(model_store: ModelStore, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "geotopics.toml").write_text("port = 0\n")
    process = subprocess.Popen(
        [sys.executable, "-c", START],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ
        | {
            "GEOTOPICS_CONFIG": str(tmp_path / "geotopics.toml"),
            "GEOTOPICS_MODELS": str(model_store.root),
        },
    )
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if "listens at http://127.0.0.1:" in line:
            return int(line.split("http://127.0.0.1:")[1].split()[0])
    pytest.fail("the server has ended without listening")


def connect(port: int) -> http.client.HTTPConnection:
    """Wait for the worker, which listens a moment after the message."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    while True:
        try:
            connection.connect()
        except ConnectionRefusedError:
            continue
        return connection


def send(connection: http.client.HTTPConnection, line: dict[str, object]) -> None:
    body = json.dumps(line).encode() + b"\n"
    connection.send(b"%x\r\n%s\r\n" % (len(body), body))


def test_a_server_answers_streams_and_ends_on_a_signal(server: subprocess.Popen[str]) -> None:
    connection = connect(port_of(server))
    connection.request("GET", "/readyz")
    assert connection.getresponse().read().startswith(b'{"status":"ready"')

    body = json.dumps({"text": "Tariffs on steel were raised."})
    connection.request("POST", "/v1/classify", body, {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["scores"]

    connection.putrequest("POST", "/v1/classify")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    send(connection, {"text": "Talks went on.", "id": 0})
    response = connection.getresponse()
    for number in range(1, 4):
        # The next line is sent only when the one before has been answered.
        assert json.loads(response.readline())["id"] == number - 1
        send(connection, {"text": "Talks went on.", "id": number})
    connection.send(b"0\r\n\r\n")
    assert json.loads(response.read())["id"] == 3
    connection.close()

    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the worker by Linux's /proc")
def test_a_worker_that_dies_is_replaced(server: subprocess.Popen[str]) -> None:
    port = port_of(server)
    connect(port).close()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")

    def workers() -> set[int]:
        commands = {
            int(child): Path(f"/proc/{child}/cmdline").read_bytes()
            for child in children.read_text().split()
        }
        return {child for child, command in commands.items() if b"resource_tracker" not in command}

    [worker] = workers()
    os.kill(worker, signal.SIGKILL)
    while server.poll() is None and not workers() - {worker}:
        time.sleep(0.05)
    connection = connect(port)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 200
    connection.close()


def test_any_wsgi_server_finds_the_application(
    model_store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "geotopics.toml").write_text("")
    monkeypatch.setenv("GEOTOPICS_CONFIG", str(tmp_path / "geotopics.toml"))
    monkeypatch.setenv("GEOTOPICS_MODELS", str(model_store.root))
    app = importlib.import_module("service.wsgi").app
    assert app.test_client().get("/readyz").status_code == 200


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            run(Settings(port=port))


def test_an_address_of_another_machine_is_named() -> None:
    # This block of addresses is set aside for documentation (RFC 5737).
    with pytest.raises(ServeError, match=r"192\.0\.2\.1:8000"):
        run(Settings(host="192.0.2.1"))
