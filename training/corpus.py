"""Reads labelled paragraphs from files and folders: checks rows, finds repeats, conflicts, digests.

What files and rows may look like is said in `training.formats`.

- ``id`` is optional. A number counts within its file only and becomes ``file:number``; a paragraph
  without an id becomes ``file:line``.
- ``primary`` is optional: without it, the topic that the row names first is primary.
- Rows that nobody answered are left out.
- Prodigy's yes-or-no rows about one text are put together; a topic never asked about is absent.
- A text that comes again with the same topics is counted once, with the sentences of both; with
  other topics, both are kept.
- A row with ``part_of`` is a sentence out of the paragraph with that id, labelled by what it says
  itself. It is learned from, and never counted or measured.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import GeotopicsError
from service.text import normalise
from service.topics import TOPICS
from training import formats
from training.formats import EXTENSIONS, Labels, UnusableError

SHIPPED = Path(__file__).resolve().parent / "corpus"
MAX_CHARACTERS = 20_000  # of a text; whatever is longer is an article or a broken file

_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and surrogates that have lost their other half


@dataclass(frozen=True, order=True)
class Sentence:
    """A sentence out of a paragraph, with the topics that it would carry if it stood alone."""

    text: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Paragraph:
    """One labelled paragraph.

    Attributes
    ----------
    id : str
        Unique in what was read together.
    text : str
        As it stands in the file.
    topics : tuple of str
        In the order of `TOPICS`; empty where the paragraph carries none.
    primary : str or None
        The topic that it is mostly about; None where it carries none.
    file : str
        The group that cross-validation keeps together: the file's name without its extension.
    agreed : bool or None
        Whether two readings gave the same topics; None where there was one.
    sentences : tuple of Sentence
        Those of its sentences that were labelled for themselves.
    """

    id: str
    text: str
    topics: tuple[str, ...]
    primary: str | None
    file: str
    agreed: bool | None
    sentences: tuple[Sentence, ...] = ()


@dataclass(frozen=True)
class Sentences:
    """All sentences of some paragraphs.

    Attributes
    ----------
    texts : ndarray of str objects, shape (n_sentences,)
    labels : ndarray of bool, shape (n_sentences, n_topics)
    paragraphs : ndarray of int, shape (n_sentences,)
        Row of the paragraph that each is of.
    """

    texts: NDArray[np.object_]
    labels: NDArray[np.bool_]
    paragraphs: NDArray[np.int_]

    def at(self, rows: NDArray[np.intp]) -> "Sentences":
        """Take those of some of the paragraphs, given by their rows and counted anew."""
        numbers = np.full(max(self.paragraphs.max(initial=-1), rows.max(initial=-1)) + 1, -1)
        numbers[rows] = np.arange(len(rows))
        paragraphs = numbers[self.paragraphs]
        chosen = paragraphs >= 0
        return Sentences(self.texts[chosen], self.labels[chosen], paragraphs[chosen])


@dataclass(frozen=True)
class Corpus:
    """What `read` found: the paragraphs, and what a person should know about them."""

    paragraphs: tuple[Paragraph, ...]
    warnings: tuple[str, ...]


class _Part(NamedTuple):
    place: str
    part_of: str
    sentence: Sentence


class CorpusError(GeotopicsError):
    """Files or rows that cannot be used.

    Attributes
    ----------
    problems : list of str
        All of them, as ``path:line: what is wrong``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(problems))


def read(paths: Sequence[Path]) -> Corpus:
    """Read labelled paragraphs.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders. A folder stands for all files in it and below it, sorted by name, whose
        extension is known and whose name does not start with a dot.

    Returns
    -------
    Corpus
        Paragraphs in the order of the paths. Its warnings tell of rows left out, of texts that
        were there before and of `conflicts`.

    Raises
    ------
    CorpusError
        A path or a row cannot be used, or there is no paragraph at all. Every bad row of every
        file is listed; sentences are looked up in their paragraphs once there is none.
    """
    problems: list[str] = []
    warnings: list[str] = []
    paragraphs: list[Paragraph] = []
    parts: list[_Part] = []
    ids: dict[str, str] = {}
    for path, file in _groups(_files(paths, problems)).items():
        try:
            paragraphs += _read_file(path, file, ids, parts, problems, warnings)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    if not problems:
        paragraphs = _with_sentences(paragraphs, parts, problems)
    if not problems and not paragraphs:
        problems.append(
            f"no labelled paragraph in {', '.join(map(str, paths)) or 'no path at all'}"
        )
    if problems:
        raise CorpusError(problems)
    distinct = _without_repeats(paragraphs, warnings)
    return Corpus(tuple(distinct), (*warnings, *conflicts(distinct)))


def conflicts(paragraphs: Iterable[Paragraph]) -> list[str]:
    """Describe texts that carry different topics in different places.

    Parameters
    ----------
    paragraphs : iterable of Paragraph
        Texts that differ in markup, capitals, accents or spaces only count as the same.

    Returns
    -------
    list of str
        One line for each paragraph that differs from the first one with its text.
    """
    first: dict[str, Paragraph] = {}
    found = []
    for paragraph in paragraphs:
        earlier = first.setdefault(_key(paragraph), paragraph)
        if earlier.topics != paragraph.topics:
            found.append(
                f"{paragraph.id} has the text of {earlier.id} but other topics: "
                f"{_named(paragraph)} instead of {_named(earlier)}"
            )
    return found


def digest(paragraphs: Iterable[Paragraph]) -> str:
    """Fingerprint of all that training can learn from.

    Each paragraph becomes one line: the JSON array of text, topics, primary, file, agreed and
    sentences, in ASCII and without spaces. The lines are sorted and joined by a line feed. Ids stay
    out, as they may hold line numbers; so neither the order of files and rows nor the system
    matters.

    Parameters
    ----------
    paragraphs : iterable of Paragraph

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    lines = sorted(json.dumps(astuple(p)[1:], separators=(",", ":")) for p in paragraphs)
    return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()


def label_matrix(paragraphs: Sequence[Paragraph]) -> NDArray[np.bool_]:
    """Which paragraph carries which topic.

    Parameters
    ----------
    paragraphs : sequence of Paragraph

    Returns
    -------
    ndarray of bool, shape (n_paragraphs, n_topics)
        Columns in the order of `TOPICS`.
    """
    return _matrix([paragraph.topics for paragraph in paragraphs])


def sentences(paragraphs: Sequence[Paragraph]) -> Sentences:
    """Gather the sentences of paragraphs."""
    found = [
        (row, sentence)
        for row, paragraph in enumerate(paragraphs)
        for sentence in paragraph.sentences
    ]
    return Sentences(
        np.array([sentence.text for _, sentence in found], dtype=object),
        _matrix([sentence.topics for _, sentence in found]),
        np.array([row for row, _ in found], dtype=int),
    )


def _matrix(topics: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    rows = [[topic in carried for topic in TOPICS] for carried in topics]
    return np.array(rows, dtype=np.bool_).reshape(len(topics), len(TOPICS))


def _files(paths: Sequence[Path], problems: list[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            for file in _files_at(path):
                found.setdefault(file.resolve(), file)  # a file and its folder may both be named
        except UnusableError as error:
            problems.append(f"{path}: {error}")
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    return list(found.values())


def _files_at(path: Path) -> list[Path]:
    known = ", ".join(EXTENSIONS)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_corpus_file(file, path)]
        if not files:
            raise UnusableError(f"no file in this folder ends in {known}")
        return files
    if not path.exists():
        raise UnusableError("does not exist")
    if path.suffix.lower() not in EXTENSIONS:
        raise UnusableError(f"is of no known format; its name must end in {known}")
    return [path]


def _is_corpus_file(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in EXTENSIONS and not hidden and file.is_file()


def _groups(files: list[Path]) -> dict[Path, str]:
    """Name each file by its stem; where that clashes, by its name and as many folders as needed."""
    names = {file: file.stem for file in files}
    # Shipped files keep their stem, as figures are reported under it.
    own = [file for file in files if file.resolve().parent != SHIPPED]
    for parts in count(1):
        taken = Counter(names.values())
        clashing = [file for file in own if taken[names[file]] > 1]
        if not clashing:
            break
        names |= {file: "/".join(file.resolve().parts[-parts:]) for file in clashing}
    return names


def _read_file(
    path: Path,
    file: str,
    ids: dict[str, str],
    parts: list[_Part],
    problems: list[str],
    warnings: list[str],
) -> list[Paragraph]:
    found: list[Paragraph] = []
    answers: dict[str, Paragraph] = {}
    skipped = 0
    wrong: list[tuple[int, str]] = []
    for place, row in formats.rows(path):
        try:
            labels = formats.parse(row)
            if labels is None:
                skipped += 1
                continue
            paragraph = _check(labels, file, place)
            if labels.part_of not in (None, ""):
                whole = _check_id(labels.part_of, file, place, called="part_of")
                sentence = Sentence(paragraph.text, paragraph.topics)
                parts.append(_Part(f"{path}:{place}", whole, sentence))
                continue
            if paragraph.id in ids:
                raise UnusableError(
                    f"the id {paragraph.id!r} stands at {ids[paragraph.id]} already"
                )
        except UnusableError as error:
            number = int(place.removeprefix("row "))
            wrong.append((number, f"{path}:{place}: {error}"))
            continue
        ids[paragraph.id] = f"{path}:{place}"
        if labels.yes_or_no:
            answers[paragraph.text] = _merge(answers.get(paragraph.text, paragraph), paragraph)
        else:
            found.append(paragraph)
    problems += [problem for _, problem in sorted(wrong)]
    if skipped:
        warnings.append(f"{path}: {skipped:,} rows without an answer were left out")
    if answers:
        warnings.append(
            f"{path}: {len(answers):,} paragraphs were labelled by yes or no; "
            "a topic that was not asked about counts as absent"
        )
    return [*found, *answers.values()]


def _with_sentences(
    paragraphs: list[Paragraph], parts: Sequence[_Part], problems: list[str]
) -> list[Paragraph]:
    whole = {paragraph.id: paragraph for paragraph in paragraphs}
    found: dict[str, list[Sentence]] = {}
    places: dict[tuple[str, str], str] = {}
    for part in parts:
        place = places.setdefault((part.part_of, part.sentence.text), part.place)
        if part.part_of not in whole:
            problems.append(f"{part.place}: there is no paragraph with the id {part.part_of!r}")
        elif part.sentence.text not in whole[part.part_of].text:
            problems.append(f"{part.place}: is no part of the text of {part.part_of}")
        elif place != part.place:
            problems.append(f"{part.place}: this part of {part.part_of} stands at {place} already")
        found.setdefault(part.part_of, []).append(part.sentence)
    return [replace(p, sentences=tuple(sorted(found.get(p.id, ())))) for p in paragraphs]


def _merge(one: Paragraph, other: Paragraph) -> Paragraph:
    topics = tuple(topic for topic in TOPICS if topic in one.topics + other.topics)
    return replace(one, topics=topics, primary=one.primary or other.primary)


def _without_repeats(paragraphs: list[Paragraph], warnings: list[str]) -> list[Paragraph]:
    distinct: dict[tuple[str, tuple[str, ...]], Paragraph] = {}
    repeats: Counter[str] = Counter()
    for paragraph in paragraphs:
        key = (_key(paragraph), paragraph.topics)
        if key in distinct:
            repeats[paragraph.file] += 1
            both = {*distinct[key].sentences, *paragraph.sentences}
            distinct[key] = replace(distinct[key], sentences=tuple(sorted(both)))
        else:
            distinct[key] = paragraph
    warnings += [
        f"{file}: {number:,} paragraphs repeat earlier ones with the same topics; counted once"
        for file, number in repeats.items()
    ]
    return list(distinct.values())


def _key(paragraph: Paragraph) -> str:
    return " ".join(normalise(paragraph.text).split())


def _named(paragraph: Paragraph) -> str:
    return ", ".join(paragraph.topics) or "none"


def _check(labels: Labels, file: str, place: str) -> Paragraph:
    if not isinstance(labels.agreed, bool | None):
        raise UnusableError("agreed is neither true nor false")
    return Paragraph(
        id=_check_id(labels.id, file, place),
        text=_check_text(labels.text),
        topics=tuple(topic for topic in TOPICS if topic in labels.topics),
        primary=_check_primary(labels.primary, labels.topics),
        file=file,
        agreed=labels.agreed,
    )


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise UnusableError("has no text" if text is None else "the text is not a string")
    if not text.strip():
        raise UnusableError("the text is empty")
    if len(text) > MAX_CHARACTERS:
        raise UnusableError(
            f"the text has {len(text):,} characters, more than {MAX_CHARACTERS:,}; "
            "cut it into paragraphs"
        )
    if _UNUSABLE.search(text):
        raise UnusableError("the text holds a NUL or half a character (a lone surrogate)")
    return text


def _check_primary(primary: object, topics: list[str]) -> str | None:
    if primary == "":
        return topics[0] if topics else None
    if primary is None and not topics:
        return None
    if not isinstance(primary, str) or primary not in topics:
        raise UnusableError(f"primary {primary!r} is not among the paragraph's topics")
    return primary


def _check_id(identifier: object, file: str, place: str, called: str = "the id") -> str:
    if identifier in (None, ""):
        return f"{file}:{place}"
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise UnusableError(f"{called} is neither text nor a number")
    name = str(identifier)
    if not name.isprintable():
        raise UnusableError(f"{called} {name!r} holds characters that cannot be printed")
    return f"{file}:{name}" if name.isdecimal() else name
