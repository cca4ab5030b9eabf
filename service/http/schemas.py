"""What goes in and comes out over HTTP; the OpenAPI document is generated from these models."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from service.classifier import Result
from service.http.problems import Problem, ProblemError
from service.lookup import DECIMALS
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
    bias: Number = Field(description="The logit of a text without any known word.")
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
    kinds: dict[str, type[ClassifyRequest]] = {
        "text": TextRequest,
        "texts": TextsRequest,
        "article": ArticleRequest,
    }
    given = [kind for kind in kinds if isinstance(body, dict) and kind in body]
    if len(given) != 1:
        raise ProblemError.of_field(
            422, "", "A JSON object with exactly one of text, texts and article is expected"
        )
    return kinds[given[0]].model_validate(body)


def result_fields(result: Result) -> dict[str, Any]:
    """Take the fields of a `ResultAnswer`, without an explanation that nobody asked for.

    They come from the classifier as the interface promises them, so that they are not validated
    anew.
    """
    fields = result._asdict()
    if result.explanation is None:
        del fields["explanation"]
    else:
        fields["explanation"] = {
            topic: ExplanationAnswer.model_validate(explanation)
            for topic, explanation in result.explanation.items()
        }
    return fields
