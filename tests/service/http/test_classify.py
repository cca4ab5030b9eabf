import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.classifier import Classifier
from service.config import Settings
from service.http import create_app
from service.store import ModelStore
from service.tables import DECIMALS
from tests.service.http.conftest import Post
from tests.service.http.samples import ARTICLE, BORDER, SUMMIT, TARIFFS, TROOPS


@pytest.fixture(scope="module")
def classifier(model_store: ModelStore) -> Classifier:
    return Classifier.load(model_store.root)


def rounded(scores: dict[str, float]) -> dict[str, float]:
    return {topic: round(score, DECIMALS) for topic, score in scores.items()}


def test_a_text_is_answered_with_what_the_classifier_says(
    classify: Post, classifier: Classifier
) -> None:
    [expected] = classifier.classify([TARIFFS])
    response = classify({"text": TARIFFS})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.json == {
        "topics": list(expected.topics),
        "primary": expected.primary,
        "scores": rounded(expected.scores),
        "coverage": round(expected.coverage, DECIMALS),
        "reliable": expected.reliable,
        "model": classifier.manifest.version,
    }


def test_plain_text_is_answered_like_a_text_in_json(classify: Post) -> None:
    plain = classify(BORDER.encode(), "text/plain; charset=UTF-8")
    assert plain.status_code == 200
    assert plain.json == classify({"text": BORDER}).json


def test_texts_are_answered_in_their_order(classify: Post) -> None:
    texts = [TARIFFS, TROOPS, BORDER, SUMMIT]
    found: Any = classify({"texts": texts}).json
    alone: list[Any] = [classify({"text": text}).json for text in texts]
    assert found["model"] == alone[0]["model"]
    assert found["results"] == [
        {name: value for name, value in one.items() if name != "model"} for one in alone
    ]


def test_no_texts_get_no_results(classify: Post) -> None:
    found: Any = classify({"texts": []}).json
    assert found["results"] == []


def test_an_article_is_answered_by_paragraph_with_offsets_and_as_a_whole(
    classify: Post, classifier: Classifier
) -> None:
    expected = classifier.classify_article(ARTICLE)
    found: Any = classify({"article": ARTICLE}).json
    assert found["topics"] == list(expected.topics)
    assert found["primary"] == expected.primary
    assert found["scores"] == rounded(expected.scores)
    assert [ARTICLE[part["start"] : part["end"]] for part in found["paragraphs"]] == [
        TARIFFS,
        TROOPS,
        SUMMIT,
    ]
    assert [part["topics"] for part in found["paragraphs"]] == [
        list(result.topics) for _, result in expected.paragraphs
    ]


def test_an_explanation_adds_up_to_the_score(classify: Post) -> None:
    found: Any = classify({"text": TARIFFS, "explain": True}).json
    assert set(found["explanation"]) == set(found["scores"])
    for explanation in found["explanation"].values():
        parts = [part["value"] for part in explanation["contributions"]]
        total = explanation["bias"] + sum(parts) + explanation["other"]
        assert total == pytest.approx(explanation["logit"], abs=(len(parts) + 3) * 10**-DECIMALS)
        for part in explanation["contributions"]:
            assert TARIFFS[part["start"] : part["end"]] == part["text"]


@pytest.mark.parametrize("body", [{"text": SUMMIT}, {"texts": [SUMMIT]}, {"article": SUMMIT}])
def test_an_explanation_is_given_only_when_asked_for(
    classify: Post, body: dict[str, object]
) -> None:
    assert b'"explanation"' not in classify(body).data
    assert b'"explanation"' in classify(body | {"explain": True}).data


def test_characters_outside_the_basic_plane_are_counted_once(classify: Post) -> None:
    text = f"🛳️🛳️ {BORDER}"
    found: Any = classify({"text": text, "explain": True}).json
    for explanation in found["explanation"].values():
        for part in explanation["contributions"]:
            assert text[part["start"] : part["end"]] == part["text"]


@pytest.mark.parametrize(
    "text", ["!!!", "\x00", "\u202eabc\u202c", "قوات على الحدود", "a" * 20_000, "<script>alert(1)"]
)
def test_any_text_that_is_not_blank_is_answered(classify: Post, text: str) -> None:
    assert classify({"text": text}).status_code == 200


def test_the_accept_header_does_not_matter(client: FlaskClient) -> None:
    response = client.post("/v1/classify", json={"text": SUMMIT}, headers={"Accept": "text/html"})
    assert response.content_type == "application/json"


def test_the_limits_are_those_of_the_settings(model_store: ModelStore) -> None:
    settings = Settings(
        models=model_store.root, max_body_bytes=200, max_paragraph_characters=20, max_texts=2
    )
    client = create_app(settings).test_client()
    sent: list[tuple[dict[str, object], int, str]] = [
        ({"text": "a" * 20}, 200, ""),
        ({"text": "a" * 21}, 413, "text"),
        ({"texts": ["a", "a" * 21]}, 413, "texts.1"),
        ({"texts": ["a"] * 3}, 413, "texts"),
        ({"article": f"{'a' * 20}\n\n{'b' * 20}"}, 200, ""),
        ({"article": f"{'a' * 20}\n\n{'b' * 21}"}, 413, "article.1"),
        ({"article": "a\nb\nc"}, 413, "article"),
    ]
    for body, status, field in sent:
        response = client.post("/v1/classify", json=body)
        assert response.status_code == status
        if field:
            assert response.json is not None
            assert response.json["errors"][0]["field"] == field
    assert client.post("/v1/classify", json={"text": " " * 200}).status_code == 413


def test_a_body_whose_length_is_not_announced_is_limited_as_well(model_store: ModelStore) -> None:
    client = create_app(Settings(models=model_store.root, max_body_bytes=200)).test_client()
    body = json.dumps({"text": "word " * 100}).encode()
    response = client.post(
        "/v1/classify",
        content_type="application/json",
        environ_overrides={"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True},
    )
    assert response.status_code == 413
