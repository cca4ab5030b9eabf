"""Speed inside one process: against peers, against the ceiling, by threads and by size."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service import lookup
from service.classifier import Classifier
from service.scorer import Scorer, joined
from service.store import ModelStore
from service.tables import WORD_ROOM
from tests.bench import peers
from tests.bench.rounds import Line, median_seconds, thousands
from training.corpus import Paragraph

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_SLOW_PARAGRAPHS = 200
_SINGLE_CALLS = 2_000
_MANY_ROUNDS = 15
_COPIES = 4  # of the corpus, for rounds that take some tenths of a second
_CHUNK = 500


def against_peers(
    paragraphs: Sequence[Paragraph], store: ModelStore, *, slow: bool
) -> Iterator[Line]:
    """Compare paragraphs a second, on one core."""
    texts = [paragraph.text for paragraph in paragraphs]
    scorer = _scorer(store)
    with threadpool_limits(1):
        ways: dict[str, Callable[[], object]] = {
            "geotopics": partial(scorer.score, texts),
            "scikit-learn pipeline": partial(peers.scikit_learn(store), texts),
            "fastText": partial(peers.fasttext(paragraphs), texts),
        }
        rates = {name: len(texts) / taken for name, taken in median_seconds(ways).items()}
        if slow:
            few = texts[:: len(texts) // _SLOW_PARAGRAPHS]
            [taken] = median_seconds({"": partial(peers.minilm(paragraphs), few)}).values()
            rates["MiniLM-L6"] = len(few) / taken
    own = rates["geotopics"]
    yield Line("one core", own, "paragraphs/s", detail=f"{len(texts):,} corpus paragraphs")
    bars = {"scikit-learn pipeline": (15, 25), "fastText": (3, 5), "MiniLM-L6": (1_000, 3_000)}
    for name, (floor, goal) in bars.items():
        if name in rates:
            yield Line(f"against {name}", own / rates[name], "x", floor, goal, _rate(rates[name]))


def against_ceiling(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Compare with cutting and hashing alone."""
    texts = [paragraph.text for paragraph in paragraphs] * _COPIES
    scorer = _scorer(store)
    own, ceiling = median_seconds(
        {"own": partial(scorer.score, texts), "ceiling": partial(_ceiling, texts)},
        _MANY_ROUNDS,
    ).values()
    detail = _rate(len(texts) / ceiling)
    yield Line("share of the ceiling", 100 * ceiling / own, "%", 40, 60, detail)


def single(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Time one call with one paragraph, a different one each time."""
    classifier = Classifier.load(store.root)
    texts = [paragraph.text for paragraph in paragraphs[:_SINGLE_CALLS]]

    def calls() -> None:
        for text in texts:
            classifier.classify([text])

    [taken] = median_seconds({"": calls}).values()
    yield Line("one call with one paragraph", 1e6 * taken / len(texts), "µs", 60, 30, below=True)


def threads(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Compare two threads with one."""
    texts = [paragraph.text for paragraph in paragraphs] * _COPIES
    scorer = _scorer(store)
    one, two = median_seconds(
        {
            "one": partial(scorer.score, texts),
            "two": partial(scorer.score, texts, threads=2),
        }
    ).values()
    yield Line("two threads against one", one / two, "x", 1.7, 1.9)


def sizes(paragraphs: Sequence[Paragraph], store: ModelStore) -> Iterator[Line]:
    """Time calls of a thousand to a million paragraphs; each round scores the same million."""
    corpus = [paragraph.text for paragraph in paragraphs]
    texts = (corpus * (SIZES[-1] // len(corpus) + 1))[: SIZES[-1]]
    scorer = _scorer(store)

    def score_in_calls_of(size: int) -> None:
        for start in range(0, len(texts), size):
            scorer.score(texts[start : start + size])

    taken = median_seconds({str(size): partial(score_in_calls_of, size) for size in SIZES})
    costs = {size: 1e6 * taken[str(size)] / len(texts) for size in SIZES}
    for size, cost in costs.items():
        yield Line(f"cost in calls of {size:,}", cost, "µs/paragraph")
    spread = 100 * (max(costs.values()) / min(costs.values()) - 1)
    yield Line("cost from 1,000 to 1,000,000 differs by", spread, "%", 10, below=True)


def _scorer(store: ModelStore) -> Scorer:
    return Scorer(store.load_arrays(str(store.current()))[1])


def _ceiling(texts: Sequence[str]) -> None:
    """Cut and hash the words of texts as the scorer does, and look nothing up."""
    for start in range(0, len(texts), _CHUNK):
        data, offsets, longest = joined(texts[start : start + _CHUNK])
        arrays = np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64)
        _cut_all(*arrays, longest)


@njit()  # type: ignore[misc, untyped-decorator, unused-ignore]
def _cut_all(data: NDArray[np.uint8], offsets: NDArray[np.int64], longest: int) -> int:
    words = np.empty((longest // 2 + 1, WORD_ROOM), dtype=np.uint64)
    n_words = 0
    for text in range(len(offsets) - 1):
        n_words += lookup.cut(data, offsets[text], offsets[text + 1], words)[0]
    return n_words


def _rate(rate: float) -> str:
    return f"{thousands(rate)} paragraphs/s"
