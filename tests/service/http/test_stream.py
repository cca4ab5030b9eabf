import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.config import Settings
from service.http import create_app
from service.http.schemas import LineAnswer, LineError
from service.store import ModelStore
from tests.service.http.conftest import Post
from tests.service.http.samples import SUMMIT, TARIFFS, TROOPS

NDJSON = "application/x-ndjson"


def lines(*requests: object) -> bytes:
    return b"".join(
        request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        for request in requests
    )


def answers(response: Any) -> list[Any]:
    assert response.status_code == 200
    assert response.content_type == NDJSON
    assert response.data.endswith(b"\n")
    return [json.loads(line) for line in response.data.splitlines()]


def test_every_line_is_answered_in_its_place(classify: Post) -> None:
    found = answers(classify(lines({"text": TARIFFS}, {"text": TROOPS}), NDJSON))
    assert found == [classify({"text": TARIFFS}).json, classify({"text": TROOPS}).json]


def test_the_id_of_a_line_is_repeated(classify: Post) -> None:
    identities = [7, "é", -(10**1_000), ""]
    found = answers(classify(lines(*({"text": "a", "id": each} for each in identities)), NDJSON))
    assert [answer["id"] for answer in found] == identities


def test_an_id_of_another_type_gets_one_reason(classify: Post) -> None:
    answer = json.loads(classify(b'{"text": "x", "id": true}', NDJSON).data)
    [reason] = answer["error"]["errors"]
    assert reason["field"] == "id"
    assert "whole number or a text" in reason["detail"]


def test_lines_are_explained_one_by_one(classify: Post) -> None:
    body = lines({"text": SUMMIT}, {"text": SUMMIT, "explain": True}, {"text": SUMMIT})
    found = answers(classify(body, NDJSON))
    assert ["explanation" in answer for answer in found] == [False, True, False]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"{\n", 400),
        (b"\n", 400),
        (b"\xff\n", 400),
        (b"[" * 100_000 + b"\n", 400),
        (b'{"text": NaN}\n', 400),
        (b"[]\n", 422),
        (b'{"text": ""}\n', 422),
        (b'{"text": "\\ud800"}\n', 422),
        (b'{"text": "a", "id": "\\ud800"}\n', 422),
        (b'{"text": "a", "id": true}\n', 422),
        (b'{"text": "a", "lang": "en"}\n', 422),
        (b'{"texts": ["a"]}\n', 422),
        (json.dumps({"text": "a" * 20_001}).encode() + b"\n", 413),
        (b'{"text": "' + b"a" * 10_000_000 + b'"}\n', 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_line_is_answered_in_its_place_without_ending_the_stream(
    classify: Post, bad: bytes, status: int
) -> None:
    body = lines({"text": TARIFFS, "id": 1}, bad, {"text": TROOPS, "id": 3})
    first, second, third = answers(classify(body, NDJSON))
    assert (first["id"], third["id"]) == (1, 3)
    error = LineError.model_validate(second)
    assert error.line == 2
    assert error.error.status == status


def test_a_last_line_without_an_end_is_answered(classify: Post) -> None:
    found = answers(classify(lines({"text": "a"}) + b'{"text": "b", "id": "last"}', NDJSON))
    assert [answer.get("id") for answer in found] == [None, "last"]


def test_line_ends_of_windows_are_fine(classify: Post) -> None:
    found = answers(classify(b'{"text": "a", "id": 1}\r\n{"text": "b", "id": 2}\r\n', NDJSON))
    assert [answer["id"] for answer in found] == [1, 2]


def test_a_stream_without_lines_gets_no_answers(classify: Post) -> None:
    response = classify(b"", NDJSON)
    assert (response.status_code, response.data) == (200, b"")


def test_a_stream_may_be_larger_than_any_other_body(model_store: ModelStore) -> None:
    client = create_app(Settings(models=model_store.root, max_body_bytes=1_000)).test_client()
    body = lines(*({"text": TARIFFS, "id": number} for number in range(2_000)))
    found = answers(client.post("/v1/classify", data=body, content_type=NDJSON))
    assert [answer["id"] for answer in found] == list(range(2_000))
    for answer in found:
        LineAnswer.model_validate(answer)


class LiveBody(io.RawIOBase):
    """A body whose client sends a line only when it has had the answer to the one before."""

    def __init__(self, sent: list[bytes], answered: list[bytes]) -> None:
        self._sent = sent
        self._answered = answered
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        arrived = b"".join(self._sent[: len(self._answered) + 1])
        wanted = self._position + size
        assert wanted <= len(arrived) or len(arrived) == len(b"".join(self._sent))
        block = arrived[self._position : wanted]
        self._position += len(block)
        return block


def test_a_client_that_waits_for_an_answer_gets_it_before_it_sends_more(
    client: FlaskClient,
) -> None:
    received: list[bytes] = []
    body = LiveBody([lines({"text": "a", "id": number}) for number in range(5)], received)
    response = client.post(
        "/v1/classify",
        content_type=NDJSON,
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
        buffered=False,
    )
    received.extend(response.iter_encoded())
    assert [json.loads(answer)["id"] for answer in received] == list(range(5))
