"""What goes in and comes out over HTTP; the OpenAPI document is generated from these models."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from service.classifier import Result
from service.feeds.selection import CURSOR, DEFAULT, MOST
from service.http.problems import Problem, ProblemError
from service.tables import DECIMALS
from service.topics import TOPICS

LONGEST_ID = 200  # characters


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Text must not be empty or blank")
    return text


def _one_reason_for_id(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError(
            "id", f"An id is a whole number or a text of at most {LONGEST_ID} characters"
        ) from None


def _round(value: float) -> float:
    return round(value, DECIMALS)


# The length constraints also make pydantic refuse lone surrogates, which no answer could repeat.
Text = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_not_blank),
    Field(
        description="Plain text; markup is ignored.",
        json_schema_extra={"pattern": r"\S", "examples": ["Tariffs on steel were raised."]},
    ),
]
LineId = Annotated[
    Annotated[str, StringConstraints(max_length=LONGEST_ID)] | int | SkipJsonSchema[None],
    WrapValidator(_one_reason_for_id),
]
TopicName = Annotated[str, Field(json_schema_extra={"enum": list(TOPICS)})]
Score = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, AfterValidator(_round)]
Offset = Annotated[int, Field(ge=0, description="In characters (Unicode code points).")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    explain: bool = Field(default=False, description="Whether to say which words decided.")


class TextRequest(_Request):
    """One paragraph to tag."""

    text: Text


class TextsRequest(_Request):
    """Many paragraphs to tag."""

    texts: Annotated[list[Text], FailFast()]


class ArticleRequest(_Request):
    """A text of several paragraphs, to be split and tagged."""

    article: Text


class LineRequest(TextRequest):
    """A line of an NDJSON stream."""

    id: LineId = Field(
        default=None,
        description="Anything that tells the answer's reader which line it belongs to.",
    )


ClassifyRequest = TextRequest | TextsRequest | ArticleRequest
_KINDS: dict[str, type[ClassifyRequest]] = {
    "text": TextRequest,
    "texts": TextsRequest,
    "article": ArticleRequest,
}


def _split(value: str) -> list[str]:
    return value.split(",")


def _known(topic: str) -> str:
    if topic not in TOPICS:
        raise PydanticCustomError("topic", f"The topics are {', '.join(TOPICS)}")
    return topic


def _moment(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value if _DATE.fullmatch(value) else "")
    except ValueError:
        raise PydanticCustomError(
            "moment", "A date (2026-03-01) or a time with offset (2026-03-01T12:00:00Z) is expected"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?", re.ASCII)
KnownTopic = Annotated[TopicName, AfterValidator(_known)]
Moment = Annotated[
    datetime | None,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}),
]
Words = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(_not_blank),
    Field(json_schema_extra={"pattern": r"\S"}),
]


class FeedQuery(BaseModel):
    """Which entries are wanted, as the parameters of an address say it."""

    model_config = ConfigDict(extra="forbid")

    topics: Annotated[list[KnownTopic], BeforeValidator(_split)] = Field(
        default=[], min_length=1, description="Entries that carry one of these."
    )
    all: Literal["0", "1"] = Field(default="0", description="1: entries that carry all of these.")
    source: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] = Field(
        default="", description="Address of the feed that they are from."
    )
    q: Words = Field(
        default="",
        description="Words of title or text, in any form; a phrase stands in double quotes.",
    )
    since: Moment = Field(
        default=None,
        description="Earliest time of arrival; of publication for what was old when it arrived.",
    )
    limit: int = Field(default=DEFAULT, ge=1, le=MOST, description="Most entries.")


class EntriesQuery(FeedQuery):
    """The same, for a page of them."""

    after: Annotated[str, StringConstraints(pattern=CURSOR)] = Field(
        default="", description="`next` of the page before."
    )


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class ContributionAnswer(_Answer):
    """What one word, or a pair of neighbouring words, adds to a topic's logit."""

    text: str
    start: Offset
    end: Offset
    value: Number = Field(description="Below zero where it counts against the topic.")


class ExplanationAnswer(_Answer):
    """Why a topic got its score: the logit is bias + sum of the contributions + other."""

    logit: Number = Field(description="Log-odds of the score.")
    bias: Number = Field(description="The share of the logit that no word has.")
    contributions: list[ContributionAnswer] = Field(description="Strongest first.")
    other: Number = Field(description="All words and pairs that are not listed, together.")


class TagsAnswer(_Answer):
    """The topics of a text."""

    topics: list[TopicName] = Field(description="Those whose score is high enough, best first.")
    primary: TopicName | None = Field(description="What the text is mostly about.")
    scores: dict[TopicName, Score] = Field(description="Calibrated probability per topic.")


class ResultAnswer(TagsAnswer):
    """What the model says of one paragraph."""

    coverage: Score = Field(description="Share of the paragraph's words that the model knows.")
    reliable: bool = Field(description="False where too few words are known: not English prose.")
    explanation: dict[TopicName, ExplanationAnswer] | SkipJsonSchema[None] = Field(
        default=None, description="Per topic, when asked for."
    )


class TextAnswer(ResultAnswer):
    """The answer to one paragraph."""

    model: str = Field(description="Version of the model that answered.")


class TextsAnswer(_Answer):
    """The answers to many paragraphs, in their order."""

    results: list[ResultAnswer]
    model: str = Field(description="Version of the model that answered.")


class ParagraphAnswer(ResultAnswer):
    """What the model says of one paragraph of an article."""

    start: Offset
    end: Offset


class ArticleAnswer(TagsAnswer):
    """The answer to an article; offsets in explanations count from their paragraph's start."""

    paragraphs: list[ParagraphAnswer]
    model: str = Field(description="Version of the model that answered.")


class LineAnswer(TextAnswer):
    """The answer to a line of an NDJSON stream."""

    id: LineId = Field(default=None, description="The line's own, if it had one.")


class LineError(_Answer):
    """The answer to a line that is not a request; the stream goes on."""

    line: int = Field(ge=1, description="Its number, counted from 1.")
    error: Problem


class TopicAnswer(_Answer):
    """A topic as the codebook defines it."""

    name: TopicName
    carries: str = Field(description="What a paragraph says if it carries the topic.")
    does_not_carry: str = Field(description="What comes near and does not count.")
    codes: list[str] = Field(description="The nearest published codes.")


class ModelAnswer(_Answer):
    """The model that answers at present."""

    version: str
    trained_at: datetime
    topics: list[TopicAnswer]
    thresholds: dict[TopicName, Score] = Field(description="From which score a topic is given.")
    metrics: dict[str, Any] = Field(description="How good it was on texts it had not seen.")


class SourceAnswer(_Answer):
    """The feed that an entry is from."""

    url: str
    title: str
    link: str | None = Field(description="Its page for people.")


class EntryAnswer(TagsAnswer):
    """A tagged entry of a feed, in plain text."""

    id: str = Field(description="A URI that stays the same when the feed moves.")
    title: str
    text: str = Field(description="The first thousand characters.")
    link: str | None = Field(description="The page that it is about.")
    author: str | None
    published: datetime
    updated: datetime
    added: datetime = Field(description="When it was first seen.")
    changed: datetime = Field(description="When it was tagged, or tagged anew.")
    source: SourceAnswer
    model: str = Field(description="Version of the model that tagged it.")


class EntriesAnswer(_Answer):
    """A page of entries, newest first."""

    entries: list[EntryAnswer]
    next: str | None = Field(description="For `after`, to get the next page; null on the last.")


class FeedsStatusAnswer(_Answer):
    """How far the entries have been tagged with the model; done is total when all are."""

    model: str | None = Field(description="Version of the model; null before the first tags.")
    done: int = Field(ge=0, description="Entries looked at, newest first.")
    total: int = Field(ge=0, description="Entries there were when it began.")


class HealthAnswer(_Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(_Answer):
    """A model is loaded."""

    status: Literal["ready"] = "ready"
    model: str


def read_request(body: object) -> ClassifyRequest:
    """Make a request of what a JSON body holds.

    Raises
    ------
    ProblemError
        The body is not an object with exactly one of ``text``, ``texts`` and ``article``.
    ValidationError
        One of its fields is wrong.
    """
    given = [kind for kind in _KINDS if isinstance(body, dict) and kind in body]
    if len(given) != 1:
        raise ProblemError.of_field(
            422, "", "A JSON object with exactly one of text, texts and article is expected"
        )
    return _KINDS[given[0]].model_validate(body)


def result_fields(result: Result) -> dict[str, Any]:
    """Take the fields of a `ResultAnswer`, without an explanation that nobody asked for.

    They come from the classifier as the interface promises them, so that they are not validated
    anew.
    """
    fields: dict[str, Any] = {
        "topics": result.topics,
        "primary": result.primary,
        "scores": result.scores,
        "coverage": result.coverage,
        "reliable": result.reliable,
    }
    if result.explanation is not None:
        fields["explanation"] = {
            topic: ExplanationAnswer.model_validate(explanation)
            for topic, explanation in result.explanation.items()
        }
    return fields
