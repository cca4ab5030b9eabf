import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.topics import TOPICS
from training.corpus import (
    MAX_CHARACTERS,
    SHIPPED,
    Corpus,
    CorpusError,
    Paragraph,
    Sentence,
    conflicts,
    digest,
    label_matrix,
    read,
    sentences,
)
from training.summary import summary

FRIGATE = "The frigate left Karlskrona with two minehunters to sweep the approaches to Gotland."
QUOTA = "Norway cut the herring quota for foreign trawlers by a third, and Hirtshals complained."
BAKERY = "A bakery in Ghent sold its last loaf on Friday after ninety years on the same corner."
ATOLL = "Both capitals claim the atoll, and both summoned the other's envoy over the new beacon."

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write_file


def lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(*rows: Iterable[str], delimiter: str = ",") -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return buffer.getvalue()


def labels(corpus: Corpus) -> list[tuple[str, tuple[str, ...], str | None]]:
    return [(p.text, p.topics, p.primary) for p in corpus.paragraphs]


def problems(*paths: Path) -> list[str]:
    with pytest.raises(CorpusError) as caught:
        read(paths)
    return caught.value.problems


# --- the own shape ---


def test_an_own_row_keeps_its_id_text_primary_and_agreement(write: Write) -> None:
    row = {"id": "own-1", "text": ATOLL, "topics": ["diplomacy", "territorial-dispute"]}
    path = write("mine.jsonl", lines(row | {"primary": "territorial-dispute", "agreed": False}))

    assert read([path]).paragraphs == (
        Paragraph(
            "own-1",
            ATOLL,
            ("territorial-dispute", "diplomacy"),
            "territorial-dispute",
            "mine",
            False,
        ),
    )


@pytest.mark.parametrize("primary", [{}, {"primary": ""}])
def test_without_a_primary_the_topic_named_first_is_primary(
    write: Write, primary: dict[str, str]
) -> None:
    row = {"text": ATOLL, "topics": ["diplomacy", "territorial-dispute"]} | primary
    [paragraph] = read([write("mine.jsonl", lines(row))]).paragraphs
    assert paragraph.primary == "diplomacy"


def test_a_paragraph_without_topics_has_no_primary(write: Write) -> None:
    path = write("mine.jsonl", lines({"text": BAKERY, "topics": [], "primary": None}))
    assert labels(read([path])) == [(BAKERY, (), None)]


def test_a_row_without_an_id_is_named_after_its_file_and_line(write: Write) -> None:
    path = write("mine.ndjson", "\n" + lines({"text": BAKERY, "topics": []}))
    assert read([path]).paragraphs[0].id == "mine:2"


def test_numbers_as_ids_count_within_their_file_only(write: Write) -> None:
    first = write("a.jsonl", lines({"id": 1, "text": BAKERY, "topics": []}))
    second = write("b.csv", table(["id", "text", "topics"], ["1", QUOTA, "trade"]))
    assert [p.id for p in read([first, second]).paragraphs] == ["a:1", "b:1"]


def test_a_byte_order_mark_and_crlf_change_nothing(write: Write) -> None:
    content = lines({"text": FRIGATE, "topics": ["defense"]}, {"text": BAKERY, "topics": []})
    plain = read([write("plain/a.jsonl", content)]).paragraphs
    marked = b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode()
    assert read([write("windows/a.jsonl", marked)]).paragraphs == plain


def test_a_last_line_without_line_end_is_read_if_it_is_whole(write: Write) -> None:
    path = write("a.jsonl", lines({"text": BAKERY, "topics": []}).rstrip())
    assert labels(read([path])) == [(BAKERY, (), None)]


# --- exports ---


@pytest.mark.parametrize("key", ["label", "labels"])
@pytest.mark.parametrize("text", ["text", "data"])
def test_doccano_rows_are_read(write: Write, key: str, text: str) -> None:
    rows = [{"id": 7, text: QUOTA, key: ["trade"]}, {"id": 8, text: BAKERY, key: []}]
    expected = [(QUOTA, ("trade",), "trade"), (BAKERY, (), None)]
    assert labels(read([write("lines.jsonl", lines(*rows))])) == expected
    assert labels(read([write("array.json", json.dumps(rows, indent=1))])) == expected


def test_doccano_tables_join_labels_by_a_hash_sign(write: Write) -> None:
    rows = table(["id", "data", "label"], ["1", ATOLL, "diplomacy#territorial-dispute"])
    assert labels(read([write("all.csv", rows)])) == [
        (ATOLL, ("territorial-dispute", "diplomacy"), "diplomacy")
    ]


def annotation(created_at: str, *choices: str, was_cancelled: bool = False) -> dict[str, object]:
    value = {"choices": list(choices)}
    region = {"from_name": "topics", "to_name": "text", "type": "choices", "value": value}
    return {
        "created_at": created_at,
        "was_cancelled": was_cancelled,
        "result": [region] if choices else [],
    }


def test_label_studio_tasks_are_read(write: Write) -> None:
    tasks = [
        {"id": 1, "data": {"text": ATOLL}, "annotations": [annotation("1", *TOPICS[2:])]},
        {"id": 2, "data": {"text": BAKERY}, "annotations": [annotation("1")]},
    ]
    corpus = read([write("project.json", json.dumps(tasks))])
    assert labels(corpus) == [(ATOLL, TOPICS[2:], TOPICS[2]), (BAKERY, (), None)]
    assert corpus.paragraphs[0].id == "project:1"
    assert corpus.paragraphs[0].agreed is None


def test_a_single_label_studio_task_is_read(write: Write) -> None:
    task = {"id": 1, "data": {"text": QUOTA}, "annotations": [annotation("1", "trade")]}
    assert labels(read([write("1.json", json.dumps(task))])) == [(QUOTA, ("trade",), "trade")]


def test_the_newest_label_studio_annotation_stands_and_agreement_is_noted(write: Write) -> None:
    readings = [annotation("2024-03-02", "trade"), annotation("2024-03-01", "trade", "diplomacy")]
    task = {"data": {"text": QUOTA}, "annotations": readings}
    [paragraph] = read([write("project.json", json.dumps([task]))]).paragraphs
    assert paragraph.topics == ("trade",)
    assert paragraph.agreed is False


def test_cancelled_and_missing_label_studio_annotations_are_left_out_and_counted(
    write: Write,
) -> None:
    tasks = [
        {"data": {"text": FRIGATE}, "annotations": [annotation("1", "trade", was_cancelled=True)]},
        {"data": {"text": QUOTA}, "annotations": []},
        {"data": {"text": BAKERY}, "annotations": [annotation("1")]},
    ]
    path = write("project.json", json.dumps(tasks))
    corpus = read([path])
    assert labels(corpus) == [(BAKERY, (), None)]
    assert corpus.warnings == (f"{path}: 2 rows without an answer were left out",)


FLAT = {"annotator": 1, "lead_time": 3.2, "source": "Harbour Gazette"}


def test_label_studio_min_rows_are_read(write: Write) -> None:
    several = {"choices": ["territorial-dispute", "diplomacy"]}
    rows = [
        FLAT | {"id": 1, "text": ATOLL, "annotation_id": 11, "kind": several},
        FLAT | {"id": 2, "text": QUOTA, "annotation_id": 12, "kind": "trade"},
        FLAT | {"id": 3, "text": BAKERY, "annotation_id": 13},
        FLAT | {"id": 4, "text": FRIGATE, "annotation_id": None},
    ]
    corpus = read([write("min.json", json.dumps(rows))])
    assert [p.topics for p in corpus.paragraphs] == [TOPICS[2:], ("trade",), ()]
    assert corpus.paragraphs[0].id == "1-11"


def test_label_studio_tables_are_read(write: Write) -> None:
    several = json.dumps({"choices": ["territorial-dispute", "diplomacy"]})
    header = ["annotation_id", "annotator", "id", "text", "topics"]
    rows = [["11", "1", "1", ATOLL, several], ["12", "1", "2", QUOTA, "trade"]]
    corpus = read([write("result.tsv", table(header, *rows, delimiter="\t"))])
    assert [p.topics for p in corpus.paragraphs] == [TOPICS[2:], ("trade",)]


def test_a_misspelled_choice_in_a_label_studio_topics_column_is_reported(write: Write) -> None:
    row = FLAT | {"id": 2, "text": QUOTA, "annotation_id": 12, "topics": "Trade"}
    assert "unknown topic 'Trade'" in problems(write("min.json", json.dumps([row])))[0]


def test_prodigy_choices_are_read_and_unanswered_ones_counted(write: Write) -> None:
    options = [{"id": topic, "text": topic} for topic in TOPICS]
    rows = [
        {"text": ATOLL, "options": options, "accept": [*TOPICS[2:]], "answer": "accept"},
        {"text": BAKERY, "options": options, "accept": [], "answer": "accept"},
        {"text": QUOTA, "options": options, "accept": ["defense"], "answer": "reject"},
        {"text": FRIGATE, "options": options, "answer": "ignore"},
    ]
    path = write("set.jsonl", lines(*rows))
    corpus = read([path])
    assert labels(corpus) == [(ATOLL, TOPICS[2:], TOPICS[2]), (BAKERY, (), None)]
    assert corpus.warnings == (f"{path}: 2 rows without an answer were left out",)


def test_prodigy_yes_or_no_rows_about_one_text_become_one_paragraph(write: Write) -> None:
    answers = [
        ("defense", "reject"),
        ("diplomacy", "accept"),
        ("territorial-dispute", "accept"),
        ("trade", "ignore"),
    ]
    rows = [{"text": ATOLL, "label": label, "answer": answer} for label, answer in answers]
    corpus = read([write("set.jsonl", lines(*rows))])
    assert labels(corpus) == [(ATOLL, TOPICS[2:], "diplomacy")]
    assert any("by yes or no" in warning for warning in corpus.warnings)


@pytest.mark.parametrize("separator", [";", ",", "|", "#", " ; "])
def test_a_table_names_topics_in_one_cell(write: Write, separator: str) -> None:
    cell = separator.join(["territorial-dispute", "diplomacy"])
    rows = [["text", "topics", "primary"], [ATOLL, cell, "diplomacy"], [BAKERY, "", ""]]
    expected = [(ATOLL, TOPICS[2:], "diplomacy"), (BAKERY, (), None)]
    assert labels(read([write("sheet.csv", table(*rows))])) == expected


def test_a_table_may_have_a_column_of_0_and_1_for_each_topic(write: Write) -> None:
    rows = [["Text", *TOPICS], [ATOLL, "0", "0", "1", "1"], [BAKERY, "0", "", "0", "0"]]
    expected = [(ATOLL, TOPICS[2:], TOPICS[2]), (BAKERY, (), None)]
    assert labels(read([write("sheet.csv", table(*rows))])) == expected


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_table_is_parted_by_whatever_parts_its_header(
    write: Write, name: str, delimiter: str
) -> None:
    rows = table(["text", "topics"], [QUOTA, "trade"], delimiter=delimiter)
    assert labels(read([write(name, rows)])) == [(QUOTA, ("trade",), "trade")]


def test_a_table_with_mark_crlf_blank_rows_and_quoted_line_breaks_is_read(write: Write) -> None:
    content = f'text,topics\r\n"Herring, again\r\n{QUOTA}",trade\r\n\r\n,\r\n{BAKERY},\r\n'
    corpus = read([write("sheet.csv", b"\xef\xbb\xbf" + content.encode())])
    assert labels(corpus) == [(f"Herring, again\n{QUOTA}", ("trade",), "trade"), (BAKERY, (), None)]
    assert corpus.paragraphs[1].id == "sheet:6"


# --- bad rows ---


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ('{"text": ', "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ({"topics": []}, "has no text"),
        ({"text": 5, "topics": []}, "the text is not a string"),
        ({"text": "", "topics": []}, "the text is empty"),
        ({"text": " \t\u00a0", "topics": []}, "the text is empty"),
        ({"text": "a\0b", "topics": []}, "holds a NUL"),
        ('{"text": "a \\ud800 b", "topics": []}', "lone surrogate"),
        ({"text": "x" * (MAX_CHARACTERS + 1), "topics": []}, "has 20,001 characters"),
        ({"text": BAKERY}, "has no topics"),
        ({"text": BAKERY, "topics": "trade"}, "the topics are not a list of names"),
        ({"text": BAKERY, "topics": [1]}, "the topics are not a list of names"),
        ({"text": BAKERY, "topics": None}, "the topics are not a list of names"),
        (
            {"text": BAKERY, "topics": ["defence"]},
            "unknown topic 'defence'; allowed are defense, trade, territorial-dispute, diplomacy",
        ),
        ({"text": QUOTA, "topics": ["trade"], "primary": "defense"}, "primary 'defense' is not"),
        ({"text": QUOTA, "topics": ["trade"], "primary": None}, "primary None is not"),
        ({"text": BAKERY, "topics": [], "primary": "trade"}, "primary 'trade' is not"),
        ({"text": BAKERY, "topics": [], "agreed": "yes"}, "agreed is neither true nor false"),
        ({"text": BAKERY, "topics": [], "id": ["x"]}, "the id is neither text nor a number"),
        ({"text": BAKERY, "topics": [], "id": "a\nb"}, "cannot be printed"),
        ({"text": BAKERY, "label": [[0, 4, "trade"]]}, "the topics are not a list of names"),
        ({"text": BAKERY, "accept": [], "answer": "maybe"}, "the answer 'maybe' is none of"),
        ({"text": BAKERY, "answer": "accept"}, "has answer, but not in the shape"),
        ({"data": BAKERY, "annotations": [1]}, "has data and annotations, but not in the shape"),
    ],
)
def test_a_bad_row_is_told_with_its_place_and_reason(write: Write, row: object, wrong: str) -> None:
    good = lines({"text": FRIGATE, "topics": ["defense"]})
    path = write("a.jsonl", good + (row + "\n" if isinstance(row, str) else lines(row)))
    [problem] = problems(path)
    assert problem.startswith(f"{path}:2: ")
    assert wrong in problem


def test_a_text_of_the_greatest_length_is_read(write: Write) -> None:
    path = write("a.jsonl", lines({"text": "x" * MAX_CHARACTERS, "topics": []}))
    assert len(read([path]).paragraphs[0].text) == MAX_CHARACTERS


def test_a_line_cut_off_at_the_end_of_the_file_is_told(write: Write) -> None:
    content = lines({"text": BAKERY, "topics": []}, {"text": QUOTA, "topics": ["trade"]})
    [problem] = problems(write("a.jsonl", content[:-20]))
    assert ":2: is not JSON; the file may be cut off" in problem


def test_a_line_that_is_not_utf_8_is_told_with_the_byte(write: Write) -> None:
    for name, head in [("a.jsonl", b""), ("b.csv", b"text,topics\n"), ("c.json", b"\n")]:
        found = problems(write(name, head + b"caf\xe9 closed,trade\n"))
        assert any(p.endswith("is not UTF-8 at byte 4 of the line") for p in found), name


def test_every_line_that_is_not_utf_8_is_told_beside_other_bad_rows(write: Write) -> None:
    path = write("own.jsonl", b'{"text": "a", "topics": []}\nab\xff\n{"topics": []}\n\xfe\n')
    assert [problem.split(" ")[0] for problem in problems(path)] == [
        f"{path}:{line}:" for line in (2, 3, 4)
    ]


def test_a_nul_byte_is_told(write: Write) -> None:
    [problem] = problems(write("a.jsonl", lines({"text": BAKERY, "topics": []}) + "\0\0\n"))
    assert problem.endswith(":2: holds a NUL byte")


def test_a_repeated_id_is_told_with_the_place_of_the_first(write: Write) -> None:
    first = write("a.jsonl", lines({"id": "x", "text": BAKERY, "topics": []}))
    second = write("b.jsonl", lines({"id": "x", "text": QUOTA, "topics": ["trade"]}))
    assert problems(first, second) == [f"{second}:1: the id 'x' stands at {first}:1 already"]


@pytest.mark.parametrize(
    ("content", "line", "wrong"),
    [
        ("words,topics\na,trade\n", 1, "names no column text"),
        ("text,defense,trade\na,0,1\n", 1, "names neither a column topics nor all of"),
        ("text,topics,text\na,trade,b\n", 1, "names a column twice"),
        ("", 1, "names no column text"),
        ("text\rfoo", 1, "the header is not CSV"),
        ('text,topics\n"a\nb",trade\nonly one\n', 4, "has 1 columns, the header has 2"),
        ("text,topics\na,sport\n", 2, "unknown topic 'sport'"),
        (f"text,{','.join(TOPICS)}\na,0,2,0,0\n", 2, "column trade holds '2'"),
        ('text,topics\n"a,trade\n', 2, "look for a missing or unpaired quote"),
        ('text,topics\n"a" b,trade\n', 2, "look for a missing or unpaired quote"),
        (f'text,topics\n"{"x" * 140_000}",trade\n', 2, "is not CSV"),
        (f'text,topics\n"{"x" * 30_000}",trade\n', 2, "has 30,000 characters"),
    ],
)
def test_a_bad_table_is_told_with_its_line(
    write: Write, content: str, line: int, wrong: str
) -> None:
    path = write("a.csv", content)
    [problem] = problems(path)
    assert wrong in problem
    assert problem.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("content", "place", "wrong"),
    [
        ('[{"text": "a", "topics": []},\n {"text"', "2", "is not JSON, or the file is cut off"),
        ('[{"text": "a", "topics": []}, 5]', "row 2", "is not a JSON object"),
        ("[" * 100_000, "1", "is "),
    ],
)
def test_a_bad_json_array_is_told_with_its_line_or_row(
    write: Write, content: str, place: str, wrong: str
) -> None:
    path = write("a.json", content)
    [problem] = problems(path)
    assert problem.startswith(f"{path}:{place}: ")
    assert wrong in problem


def test_all_bad_rows_of_all_files_are_told_at_once(write: Write) -> None:
    first = write("a.jsonl", lines({"text": "", "topics": []}, 5, {"text": QUOTA, "topics": []}))
    second = write("b.csv", table(["text", "topics"], ["a", "sport"]))
    missing = first.parent / "missing.jsonl"
    found = problems(first, missing, second)
    assert sorted(p.removeprefix(f"{first.parent}/").split(": ")[0] for p in found) == [
        "a.jsonl:1",
        "a.jsonl:2",
        "b.csv:2",
        "missing.jsonl",
    ]


def test_a_long_list_of_bad_rows_is_told_whole(write: Write) -> None:
    path = write("a.jsonl", "?\n" * 1234)
    with pytest.raises(CorpusError) as caught:
        read([path])
    assert len(str(caught.value).splitlines()) == 1234


def test_files_without_a_paragraph_are_told(write: Write) -> None:
    path = write("a.jsonl", "\n")
    assert problems(path) == [f"no labelled paragraph in {path}"]


# --- paths ---


def test_a_folder_stands_for_its_corpus_files_and_nothing_else(write: Write) -> None:
    row = table(["text", "topics"], [QUOTA, "trade"])
    write("set/below/b.CSV", row)
    write("set/a.jsonl", lines({"text": BAKERY, "topics": []}))
    write("set/README.md", "not a corpus")
    folder = write("set/.a.jsonl.swp.json", "not a corpus either").parent
    assert [p.file for p in read([folder]).paragraphs] == ["a", "b"]


def test_a_file_named_twice_is_read_once(write: Write) -> None:
    path = write("set/a.jsonl", lines({"id": "x", "text": BAKERY, "topics": []}))
    assert len(read([path.parent, path]).paragraphs) == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("empty", "no file in this folder ends in .jsonl"),
        ("missing", "does not exist"),
        ("notes.txt", "is of no known format"),
    ],
)
def test_an_unusable_path_is_told(tmp_path: Path, name: str, wrong: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    [problem] = problems(tmp_path / name)
    assert problem.startswith(f"{tmp_path / name}: {wrong}")


def test_a_file_that_cannot_be_opened_is_told(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.jsonl", lines({"text": BAKERY, "topics": []}))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert problems(path) == [f"{path}: cannot be read (Permission denied)"]


def test_files_of_one_name_stay_apart(write: Write) -> None:
    texts = {"x/a.jsonl": FRIGATE, "y/a.jsonl": QUOTA, "y/a.ndjson": ATOLL, "y/b.jsonl": BAKERY}
    paths = [write(name, lines({"text": text, "topics": []})) for name, text in texts.items()]
    expected = {FRIGATE: "x/a.jsonl", QUOTA: "y/a.jsonl", ATOLL: "a.ndjson", BAKERY: "b"}
    for order in (paths, paths[::-1]):
        assert {p.text: p.file for p in read(order).paragraphs} == expected


def test_a_shipped_file_keeps_its_name_beside_an_own_one_of_that_name(write: Write) -> None:
    own = write("us-press.jsonl", lines({"text": BAKERY, "topics": []}))
    corpus = read([own, SHIPPED / "us-press.jsonl"])
    assert corpus.paragraphs[0].file == "us-press.jsonl"
    assert corpus.paragraphs[-1].file == "us-press"


# --- what is said of the whole ---


def test_one_text_with_different_topics_is_kept_and_reported(write: Write) -> None:
    shouted = QUOTA.upper().replace(" ", "  ")
    first = write("a.jsonl", lines({"id": "x", "text": QUOTA, "topics": ["trade"]}))
    second = write("b.jsonl", lines({"id": "y", "text": shouted, "topics": []}))
    corpus = read([first, second])
    assert len(corpus.paragraphs) == 2
    assert corpus.warnings == tuple(conflicts(corpus.paragraphs))
    assert corpus.warnings == ("y has the text of x but other topics: none instead of trade",)


def test_one_text_with_the_same_topics_is_counted_once_and_reported(write: Write) -> None:
    row = {"text": QUOTA, "topics": ["trade"]}
    corpus = read([write("a.jsonl", lines(row, row)), write("b.jsonl", lines(row))])
    assert [p.id for p in corpus.paragraphs] == ["a:1"]
    assert [warning[:2] for warning in corpus.warnings] == ["a:", "b:"]


def test_sentences_go_with_their_paragraph_and_are_no_paragraphs(write: Write) -> None:
    whole = {"id": "x", "text": f"{QUOTA} {BAKERY}", "topics": ["trade"]}
    other = {"id": "y", "text": FRIGATE, "topics": ["defense"]}
    parts = write(
        "parts.jsonl",
        lines(
            {"part_of": "x", "text": QUOTA, "topics": ["trade"]},
            {"part_of": "x", "text": BAKERY, "topics": []},
        ),
    )
    one, two = read([parts, write("a.jsonl", lines(other, whole))]).paragraphs
    assert (one.id, one.sentences) == ("y", ())
    assert set(two.sentences) == {Sentence(QUOTA, ("trade",)), Sentence(BAKERY, ())}
    found = sentences([one, two])
    assert set(found.texts) == {QUOTA, BAKERY}
    assert found.paragraphs.tolist() == [1, 1]
    assert found.at(np.array([1])).paragraphs.tolist() == [0, 0]
    assert len(found.at(np.array([0])).texts) == 0
    assert digest([two]) != digest([replace(two, sentences=())])


def test_sentences_keep_their_labels_and_paragraphs_in_any_order_of_rows() -> None:
    both = sentences(
        [
            Paragraph("x", QUOTA, ("trade",), "trade", "a", None, (Sentence("q", ("trade",)),)),
            Paragraph("y", BAKERY, (), None, "a", None, (Sentence("b", ()),)),
        ]
    )
    turned = both.at(np.array([1, 0]))
    labels = {"q": [False, True, False, False], "b": [False] * 4}
    for found, rows in ((both, {"q": 0, "b": 1}), (turned, {"q": 1, "b": 0})):
        assert dict(zip(found.texts, found.labels.tolist(), strict=True)) == labels
        assert dict(zip(found.texts, found.paragraphs.tolist(), strict=True)) == rows


def test_the_order_of_sentences_does_not_matter(write: Write) -> None:
    rows = [
        {"id": "x", "text": f"{QUOTA} {BAKERY}", "topics": ["trade"]},
        {"part_of": "x", "text": QUOTA, "topics": ["trade"]},
        {"part_of": "x", "text": BAKERY, "topics": []},
    ]
    one, other = (read([write("a.jsonl", lines(*order))]) for order in (rows, rows[::-1]))
    assert one == other


def test_a_table_may_have_sentences(write: Write) -> None:
    table = f'id,text,topics,part_of\nx,"{QUOTA} {BAKERY}",trade,\n,"{BAKERY}",,x\n'
    [whole] = read([write("a.csv", table)]).paragraphs
    assert whole.sentences == (Sentence(BAKERY, ()),)


def test_a_text_that_comes_again_brings_its_sentences(write: Write) -> None:
    row = {"text": f"{QUOTA} {BAKERY}", "topics": ["trade"]}
    one = write("a.jsonl", lines(row | {"id": "x"}))
    part = {"part_of": "y", "text": BAKERY, "topics": []}
    other = write("b.jsonl", lines(row | {"id": "y"}, part))
    for order in ([one, other], [other, one]):
        [kept] = read(order).paragraphs
        assert kept.sentences == (Sentence(BAKERY, ()),)


def test_a_sentence_of_a_numbered_paragraph_names_it_by_its_number(write: Write) -> None:
    row = {"id": 7, "text": f"{QUOTA} {BAKERY}", "topics": ["trade"]}
    path = write("a.jsonl", lines(row, {"part_of": 7, "text": BAKERY, "topics": []}))
    assert read([path]).paragraphs[0].sentences == (Sentence(BAKERY, ()),)


def test_a_sentence_that_is_labelled_twice_is_refused(write: Write) -> None:
    row = {"id": "x", "text": QUOTA, "topics": ["trade"]}
    parts = [{"part_of": "x", "text": QUOTA, "topics": topics} for topics in ([], ["trade"])]
    path = write("a.jsonl", lines(row, *parts))
    problem = f"{path}:3: this part of x stands at {path}:2 already"
    with pytest.raises(CorpusError, match=re.escape(problem)):
        read([path])


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"part_of": "z", "text": QUOTA}, "there is no paragraph with the id 'z'"),
        ({"part_of": "x", "text": BAKERY}, "is no part of the text of x"),
        ({"part_of": [], "text": QUOTA}, "part_of is neither text nor a number"),
        ({"part_of": "x", "text": " "}, "the text is empty"),
    ],
)
def test_a_sentence_that_cannot_be_used_is_refused(
    write: Write, part: dict[str, object], problem: str
) -> None:
    row = {"id": "x", "text": QUOTA, "topics": ["trade"]}
    path = write("a.jsonl", lines(row, {"topics": []} | part))
    with pytest.raises(CorpusError, match=re.escape(f"{path}:2: {problem}")):
        read([path])


def test_the_digest_does_not_depend_on_the_order_of_files_and_rows(write: Write) -> None:
    one, two = {"text": QUOTA, "topics": ["trade"]}, {"text": BAKERY, "topics": []}
    other = write("b.jsonl", lines({"text": FRIGATE, "topics": ["defense"]}))
    path = write("a.jsonl", lines(one, two))
    expected = digest(read([path, other]).paragraphs)
    write("a.jsonl", lines(two, one))
    assert digest(read([other, path]).paragraphs) == expected
    assert len(expected) == 64


def test_the_digest_is_the_same_on_every_system() -> None:
    paragraph = Paragraph("x", "Café quota", ("trade",), "trade", "a", None)
    assert digest([paragraph]) == (
        "069dd36802483dc592c7709c38902b8f21e8c4ccab5da4d88d9005eccf708cce"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"text": FRIGATE + " "},
        {"topics": ["defense", "diplomacy"]},
        {"primary": "diplomacy", "topics": ["defense", "diplomacy"]},
        {"agreed": True},
    ],
)
def test_the_digest_changes_with_what_training_reads(
    write: Write, change: dict[str, object]
) -> None:
    row: dict[str, object] = {"text": FRIGATE, "topics": ["defense"]}
    before = digest(read([write("a.jsonl", lines(row))]).paragraphs)
    assert digest(read([write("a.jsonl", lines(row | change))]).paragraphs) != before


def test_the_label_matrix_has_a_row_for_each_paragraph_and_a_column_for_each_topic() -> None:
    paragraphs = [
        Paragraph("x", ATOLL, TOPICS[2:], TOPICS[2], "a", None),
        Paragraph("y", BAKERY, (), None, "a", None),
    ]
    matrix = label_matrix(paragraphs)
    assert matrix.dtype == np.bool_
    assert matrix.tolist() == [[False, False, True, True], [False] * 4]
    assert label_matrix([]).shape == (0, 4)


# --- the shipped corpus ---


@pytest.fixture(scope="module")
def shipped() -> Corpus:
    return read([SHIPPED])


def test_the_shipped_corpus_is_read_without_a_warning(shipped: Corpus) -> None:
    assert shipped.paragraphs
    assert shipped.warnings == ()


def test_the_shipped_files_keep_their_stems(shipped: Corpus) -> None:
    stems = {path.stem for path in SHIPPED.glob("*.jsonl")} - {"sentences"}
    assert {paragraph.file for paragraph in shipped.paragraphs} == stems


def test_the_datasheet_shows_the_counts_of_the_shipped_corpus(shipped: Corpus) -> None:
    datasheet = (SHIPPED / "README.md").read_text("utf-8")
    counts = datasheet.split("<!-- counts: geotopics corpus -->")[1].split("<!-- /counts -->")[0]
    assert counts.strip() == summary(shipped.paragraphs)


def test_agreement_is_a_dash_where_nothing_was_read_twice() -> None:
    text = summary([Paragraph("x", BAKERY, (), None, "a", None)])
    assert "| a | 1 | 0 | 0 | 0 | 0 | 1 | – |" in text


def test_the_list_of_corrections_says_what_the_shipped_labels_are(shipped: Corpus) -> None:
    listed = (SHIPPED / "CHANGES.md").read_text("utf-8")
    rows = re.findall(r"^\| `(.+?)` \|.*\| (.+) \|$", listed, re.MULTILINE)
    assert len(rows) == listed.count("\n| `")
    now = {name: tuple(re.findall(r"`(.+?)`", topics)) for name, topics in rows}
    topics = {paragraph.id: paragraph.topics for paragraph in shipped.paragraphs}
    assert now == {name: topics[name] for name in now}
