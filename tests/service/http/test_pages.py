from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.classifier import Contribution, Explanation
from service.config import Settings
from service.http import create_app
from service.http.pages import Piece, cut
from tests.service.http.samples import ARTICLE, SUMMIT, TARIFFS
from tests.service.http.test_docs import OUTSIDE


def paste(client: FlaskClient, text: str) -> TestResponse:
    return client.post("/", data={"text": text})


def test_the_empty_page_has_a_form_and_links(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "<form" in page.text
    assert 'href="/docs"' in page.text
    assert 'href="/v1/model"' in page.text


def test_the_page_works_without_scripts_and_without_other_machines(client: FlaskClient) -> None:
    page = paste(client, SUMMIT)
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert not OUTSIDE.search(page.text)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_a_paragraph_is_shown_with_every_score_and_the_words_that_decided(
    client: FlaskClient,
) -> None:
    page = paste(client, TARIFFS)
    assert page.status_code == 200
    assert page.text.count('<rect class="bar"') == 4
    assert "<mark" in page.text
    assert "The article" not in page.text


def test_an_article_is_shown_as_a_whole_and_by_paragraph(client: FlaskClient) -> None:
    page = paste(client, ARTICLE)
    assert "The article" in page.text
    assert "Paragraph 3" in page.text


def test_hostile_text_is_escaped(client: FlaskClient) -> None:
    page = paste(client, '</textarea><script>alert("tariffs")</script> & tariffs')
    assert "<script" not in page.text
    assert "</textarea>" in page.text
    assert "&lt;/textarea&gt;" in page.text


def test_text_from_right_to_left_keeps_its_direction_to_itself(client: FlaskClient) -> None:
    page = paste(client, "\u202eقوات على الحدود")
    assert page.status_code == 200
    assert '<blockquote dir="auto">' in page.text


@pytest.mark.parametrize(
    ("text", "status"), [("", 422), (" \n", 422), ("a" * 20_001, 413), ("a" * 2_000_000, 413)]
)
def test_a_text_that_cannot_be_tagged_is_answered_with_the_page_and_the_reason(
    client: FlaskClient, text: str, status: int
) -> None:
    page = paste(client, text)
    assert page.status_code == status
    assert page.content_type == "text/html; charset=utf-8"
    assert 'role="alert"' in page.text


def test_a_form_of_another_kind_is_unsupported(client: FlaskClient) -> None:
    page = client.post("/", data="text=a", content_type="text/plain")
    assert page.status_code == 415
    assert page.content_type == "text/html; charset=utf-8"
    assert 'role="alert"' in page.text


def test_without_a_model_the_page_keeps_the_text_for_another_try(tmp_path: Path) -> None:
    page = paste(create_app(Settings(models=tmp_path)).test_client(), SUMMIT)
    assert page.status_code == 503
    assert "Retry-After" in page.headers
    assert SUMMIT in page.text


def test_words_and_pairs_that_overlap_are_cut_into_pieces_that_add_up() -> None:
    explanation = Explanation(
        logit=1.0,
        bias=0.0,
        contributions=(
            Contribution("trade", 2, 7, 1.0),
            Contribution("trade war", 2, 11, 0.5),
            Contribution("war", 8, 11, -0.75),
        ),
        other=0.25,
    )
    assert cut("a trade war.", explanation) == [
        Piece("a ", 0),
        Piece("trade", 1.5),
        Piece(" ", 0.5),
        Piece("war", -0.25),
        Piece(".", 0),
    ]


def test_words_that_hardly_matter_are_not_marked() -> None:
    weights = (1.5, 0.5, 0.1, 0, -0.1, -0.5, -1.5)
    assert [Piece("word", weight).style for weight in weights] == [
        "for strong",
        "for",
        "",
        "",
        "",
        "against",
        "against strong",
    ]
