"""Counts a corpus: by file, topic, combination of topics, length and sentences, in Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from service.topics import TOPICS
from training.corpus import Paragraph

# In words: short is a headline with its summary, long a full paragraph.
SHORT_BELOW = 30
LONG_ABOVE = 80


def summary(paragraphs: Sequence[Paragraph]) -> str:
    """Describe a corpus in four tables, and its sentences in a fifth if it has any.

    Parameters
    ----------
    paragraphs : sequence of Paragraph

    Returns
    -------
    str
        Markdown without a line feed at its end. Agreement is in percent of the paragraphs that were
        read twice; a dash stands where there are none.
    """
    tables = [
        _by_file(paragraphs),
        _by_topic(paragraphs),
        _by_combination(paragraphs),
        _by_length(paragraphs),
    ]
    if any(paragraph.sentences for paragraph in paragraphs):
        tables.append(_by_sentence(paragraphs))
    return "\n\n".join(tables)


def _by_file(paragraphs: Sequence[Paragraph]) -> str:
    files = sorted({paragraph.file for paragraph in paragraphs})
    rows = [_file_row(name, [p for p in paragraphs if p.file == name]) for name in files]
    header = ["file", "paragraphs", *TOPICS, "none", "agreed"]
    return _table(header, [*rows, _file_row("all", paragraphs)])


def _file_row(name: str, paragraphs: Sequence[Paragraph]) -> list[str]:
    carried = Counter(topic for paragraph in paragraphs for topic in paragraph.topics)
    none = sum(not paragraph.topics for paragraph in paragraphs)
    readings = [paragraph.agreed for paragraph in paragraphs if paragraph.agreed is not None]
    counts = [len(paragraphs), *(carried[topic] for topic in TOPICS), none]
    return [name, *(f"{number:,}" for number in counts), _percent(sum(readings), len(readings))]


def _by_topic(paragraphs: Sequence[Paragraph]) -> str:
    rows = []
    for topic in TOPICS:
        carrying = sum(topic in paragraph.topics for paragraph in paragraphs)
        primary = sum(paragraph.primary == topic for paragraph in paragraphs)
        share = _percent(carrying, len(paragraphs))
        rows.append([topic, f"{carrying:,}", share, f"{primary:,}"])
    return _table(["topic", "paragraphs", "share", "as primary"], rows)


def _by_combination(paragraphs: Sequence[Paragraph]) -> str:
    found = Counter(", ".join(paragraph.topics) or "none" for paragraph in paragraphs)
    by_size = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return _counted("topics together", by_size, len(paragraphs))


def _by_length(paragraphs: Sequence[Paragraph]) -> str:
    lengths = [len(paragraph.text.split()) for paragraph in paragraphs]
    short = sum(words < SHORT_BELOW for words in lengths)
    long = sum(words > LONG_ABOVE for words in lengths)
    rows = [
        (f"short, under {SHORT_BELOW} words", short),
        (f"medium, {SHORT_BELOW} to {LONG_ABOVE} words", len(lengths) - short - long),
        (f"long, over {LONG_ABOVE} words", long),
    ]
    return _counted("length", rows, len(paragraphs))


def _by_sentence(paragraphs: Sequence[Paragraph]) -> str:
    found = Counter(
        "those of their paragraph"
        if sentence.topics == paragraph.topics
        else "others"
        if sentence.topics
        else "none, but their paragraph some"
        for paragraph in paragraphs
        for sentence in paragraph.sentences
    )
    return _counted("topics of sentences", sorted(found.items()), found.total(), "sentences")


def _counted(what: str, rows: Iterable[tuple[str, int]], total: int, of: str = "paragraphs") -> str:
    cells = [[name, f"{number:,}", _percent(number, total)] for name, number in rows]
    return _table([what, of, "share"], cells)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])
