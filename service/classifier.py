"""Loads a saved model, turns texts into results, explains a result word by word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise, repeat
from operator import ge
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from service.errors import ModelError
from service.scorer import Scorer
from service.store import DEFAULT_FOLDER, NO_MODEL, Manifest, ModelStore
from service.tables import DECIMALS
from service.text import Span, normalise_aligned, split_paragraphs, word_spans

MINIMUM_COVERAGE = 0.75  # below it a text is no English prose; news is above 0.8, French below 0.7
ARTICLE_SHARE = 0.25  # share of an article's words that a topic's paragraphs must hold
LISTED_CONTRIBUTIONS = 20


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one word, or one pair of neighbouring words, adds to a topic's logit.

    Attributes
    ----------
    text : str
        The word or words as they stand in the classified text.
    start, end : int
        Where they stand, as character offsets ``[start, end)``.
    value : float
        The share of the logit; below zero where it counts against the topic.
    """

    text: str
    start: int
    end: int
    value: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a topic got its score: ``logit = bias + sum of contributions + other``.

    Attributes
    ----------
    logit : float
        Log-odds of the calibrated probability.
    bias : float
        The share that no word has.
    contributions : tuple of Contribution
        The words and pairs that counted most, for or against, strongest first.
    other : float
        Sum over all words and pairs that are not listed.
    """

    logit: float
    bias: float
    contributions: tuple[Contribution, ...]
    other: float


class Result(NamedTuple):
    """What the model says of one text.

    Attributes
    ----------
    topics : tuple of str
        Topics whose score reaches their threshold, best first.
    primary : str or None
        The topic that the text is mostly about; None where it carries none.
    scores : dict of str to float
        Calibrated probability per topic, in [0, 1], rounded to `DECIMALS`.
    coverage : float
        Share of the text's words that the model knows, in [0, 1], rounded alike; 0 for a text
        without words. Signs of source code count as unknown words.
    reliable : bool
        False where `coverage` is below `MINIMUM_COVERAGE`: the text is not English prose.
    explanation : dict of str to Explanation, or None
        Per topic, when asked for.
    """

    topics: tuple[str, ...]
    primary: str | None
    scores: dict[str, float]
    coverage: float
    reliable: bool
    explanation: dict[str, Explanation] | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """What the model says of a text of several paragraphs.

    Attributes
    ----------
    topics, primary, scores
        Of the article as a whole; see `Classifier.classify_article`.
    paragraphs : tuple of (Span, Result)
        Every paragraph with its character offsets in the article.
    """

    topics: tuple[str, ...]
    primary: str | None
    scores: dict[str, float]
    paragraphs: tuple[tuple[Span, Result], ...]


class Classifier:
    """Tags texts with a saved model.

    Parameters
    ----------
    manifest : Manifest
        What the model is.
    scorer : Scorer
        Its arrays, ready to score.

    Examples
    --------
    >>> from service import Classifier
    >>> classifier = Classifier.load()
    >>> [result] = classifier.classify(["Tariffs on steel imports were raised to 25 percent."])
    >>> result.topics
    ('trade',)
    """

    def __init__(self, manifest: Manifest, scorer: Scorer) -> None:
        self.manifest = manifest
        self._scorer = scorer
        self._topics = manifest.topics
        self._thresholds = [manifest.thresholds[topic] for topic in manifest.topics]

    @classmethod
    def load(cls, models: Path = DEFAULT_FOLDER, version: str | None = None) -> Self:
        """Load a model whose files are what training wrote.

        Parameters
        ----------
        models : Path
            The folder of models.
        version : str, optional
            Which one; by default the current one.

        Raises
        ------
        ModelError
            There is no model, or a file of it is missing or altered.
        """
        store = ModelStore(models)
        version = version or store.current()
        if version is None:
            raise ModelError(NO_MODEL)
        manifest, arrays = store.load_arrays(version)
        return cls(manifest, Scorer(arrays))

    def classify(self, texts: Sequence[str], *, explain: bool = False) -> list[Result]:
        """Tag texts.

        Parameters
        ----------
        texts : sequence of str
            One paragraph each.
        explain : bool, default=False
            Whether to say which words decided.

        Returns
        -------
        list of Result
            One a text, in the same order.
        """
        logits, probabilities, coverage = self._scorer.score(texts)
        explanations = map(self._explain, texts, logits) if explain else repeat(None, len(texts))
        return list(map(self._result, probabilities.tolist(), coverage.tolist(), explanations))

    def classify_article(self, text: str, *, explain: bool = False) -> Article:
        """Tag a text of several paragraphs, and each of them.

        A long article is not about everything that one of its paragraphs mentions. It carries a
        topic where the paragraphs that carry it hold at least `ARTICLE_SHARE` of its words. Its
        score for a topic is the mean of its paragraphs' scores, weighted by their words.

        Parameters
        ----------
        text : str
            The article; `service.text.split_paragraphs` says how it is split.
        explain : bool, default=False
            Whether to say for each paragraph which words decided.

        Returns
        -------
        Article
        """
        spans = split_paragraphs(text)
        results = self.classify([text[start:end] for start, end in spans], explain=explain)
        topics, scores = self.combine([text[start:end] for start, end in spans], results)
        return Article(
            topics, next(iter(topics), None), scores, tuple(zip(spans, results, strict=True))
        )

    def combine(
        self, paragraphs: Sequence[str], results: Sequence[Result]
    ) -> tuple[tuple[str, ...], dict[str, float]]:
        """Tag an article from the tags of its paragraphs, as `classify_article` does.

        Parameters
        ----------
        paragraphs : sequence of str
        results : sequence of Result
            What `classify` says of each.

        Returns
        -------
        topics : tuple of str
            Best first.
        scores : dict of str to float
            Per topic, in [0, 1]; 0 where there is no paragraph.
        """
        sizes = [max(1, len(paragraph.split())) for paragraph in paragraphs]
        total = sum(sizes) or 1

        def weigh(value: Callable[[Result, str], float]) -> dict[str, float]:
            return {
                topic: round(
                    sum(
                        size * value(result, topic)
                        for size, result in zip(sizes, results, strict=True)
                    )
                    / total,
                    DECIMALS,
                )
                for topic in self.manifest.topics
            }

        scores = weigh(lambda result, topic: result.scores[topic])
        shares = weigh(lambda result, topic: topic in result.topics)
        topics = _best_first(
            {topic: scores[topic] for topic in scores if shares[topic] >= ARTICLE_SHARE}
        )
        return topics, scores

    def _result(
        self,
        scores: list[float],
        coverage: float,
        explanation: dict[str, Explanation] | None,
    ) -> Result:
        by_topic = dict(zip(self._topics, scores, strict=True))
        topics = tuple(compress(self._topics, map(ge, scores, self._thresholds)))
        if len(topics) > 1:
            topics = tuple(sorted(topics, key=by_topic.__getitem__, reverse=True))
        return Result(
            topics,
            topics[0] if topics else None,
            by_topic,
            coverage,
            coverage >= MINIMUM_COVERAGE,
            explanation,
        )

    def _explain(self, text: str, logits: NDArray[np.float64]) -> dict[str, Explanation]:
        normalised, origins = normalise_aligned(text)
        spans = [
            Span(origins[start].start, origins[end - 1].end)
            for start, end in word_spans(normalised)
        ]
        pairs = [Span(first.start, second.end) for first, second in pairwise(spans)]
        shares = self._scorer.contributions(normalised)
        values = np.concatenate([shares.words, shares.pairs])
        places = [*spans, *pairs]
        explanation = {}
        for column, topic in enumerate(self.manifest.topics):
            ranked = np.argsort(-np.abs(values[:, column]), kind="stable")
            listed = [row for row in ranked[:LISTED_CONTRIBUTIONS] if values[row, column]]
            explanation[topic] = Explanation(
                logit=float(logits[column]),
                bias=float(shares.bias[column]),
                contributions=tuple(
                    Contribution(
                        text=text[places[row].start : places[row].end],
                        start=places[row].start,
                        end=places[row].end,
                        value=float(values[row, column]),
                    )
                    for row in listed
                ),
                other=float(values[:, column].sum() - values[listed, column].sum()),
            )
        return explanation


def _best_first(scores: dict[str, float]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda topic: -scores[topic]))
