"""``/``: a page on which a person pastes a text and sees its tags, and which words decided them."""

from itertools import pairwise
from typing import NamedTuple
from urllib.parse import parse_qs

from flask import Blueprint, Response, render_template, request
from pydantic import ValidationError

from service.classifier import Article, Explanation, Result
from service.config import Settings
from service.current import CurrentModel
from service.errors import ModelError
from service.http import bodies
from service.http.classify import check_limits
from service.http.feeds import CHOICES
from service.http.problems import ProblemError, no_model
from service.http.schemas import ArticleRequest

_FORM = "application/x-www-form-urlencoded"
_FAINT = 0.25  # logit; less than this, and nearly every word would be coloured
_STRONG = 1.0  # logit; a word that weighs this much turns an even chance into three to one


class Piece(NamedTuple):
    """A stretch of text whose words weigh the same.

    Attributes
    ----------
    text : str
        The stretch.
    weight : float
        What it adds to the topic's logit; 0 where no listed word stands.
    """

    text: str
    weight: float

    @property
    def style(self) -> str:
        """Class names that say for or against, and how strongly; empty where it hardly matters."""
        if abs(self.weight) < _FAINT:
            return ""
        side = "for" if self.weight > 0 else "against"
        return f"{side} strong" if abs(self.weight) >= _STRONG else side


class Reason(NamedTuple):
    """A topic, and the paragraph's text in pieces that say why."""

    topic: str
    pieces: list[Piece]


class Paragraph(NamedTuple):
    """A paragraph as the page shows it."""

    text: str
    result: Result
    reasons: list[Reason]


def blueprint(settings: Settings, current: CurrentModel) -> Blueprint:
    """Build the page."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def home() -> Response:
        return _page()

    @routes.post("/")
    def tags() -> Response:
        if bodies.media_type(request) != _FORM:
            raise ProblemError(415, f"The body must be {_FORM}.")
        body = bodies.text(bodies.read(request, settings.max_body_bytes))
        try:
            form = parse_qs(body, errors="strict")
        except UnicodeDecodeError:
            raise ProblemError(400, "The text is not UTF-8.") from None
        [text, *_] = form.get("text", [""])
        try:
            return _tagged(text)
        except ProblemError as error:
            return _problem(error, text)
        except ModelError:
            return _problem(no_model(), text)

    def _tagged(text: str) -> Response:
        try:
            asked = ArticleRequest(article=text)
        except ValidationError:
            raise ProblemError.of_field(422, "text", "Paste a text first") from None
        check_limits(asked, settings)
        classifier = current.get()
        article = classifier.classify_article(text, explain=True)
        return _page(
            text=text,
            article=article,
            paragraphs=_paragraphs(text, article),
            thresholds=classifier.manifest.thresholds,
        )

    # People get the same problems as programs do, but on the page.
    @routes.errorhandler(ProblemError)
    def problem(error: ProblemError) -> Response:
        return _problem(error)

    return routes


def cut(text: str, explanation: Explanation) -> list[Piece]:
    """Cut a paragraph where the weight of its words changes.

    Parameters
    ----------
    text : str
        The paragraph.
    explanation : Explanation
        What its words, and pairs of words, add to a topic.

    Returns
    -------
    list of Piece
        Which together are the paragraph.
    """
    places = explanation.contributions
    bounds = {0, len(text), *(place.start for place in places), *(place.end for place in places)}
    return [
        Piece(
            text[start:end],
            sum(place.value for place in places if place.start <= start and end <= place.end),
        )
        for start, end in pairwise(sorted(bounds))
    ]


def _paragraphs(text: str, article: Article) -> list[Paragraph]:
    return [
        Paragraph(text[start:end], result, _reasons(text[start:end], result))
        for (start, end), result in article.paragraphs
    ]


def _reasons(text: str, result: Result) -> list[Reason]:
    # Where no topic was given, the page says why the nearest one was not.
    shown = result.topics or (max(result.scores, key=lambda topic: result.scores[topic]),)
    explanation = result.explanation or {}
    return [Reason(topic, cut(text, explanation[topic])) for topic in shown]


def _problem(error: ProblemError, text: str = "") -> Response:
    response = _page(text=text, problem=error.problem())
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _page(**content: object) -> Response:
    return Response(
        render_template("home.html", feeds=CHOICES, **content),
        content_type="text/html; charset=utf-8",
    )
