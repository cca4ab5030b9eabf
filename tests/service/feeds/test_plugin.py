import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from reader import Entry, Reader, make_reader

from service.classifier import Classifier
from service.feeds import TAG, plugin
from service.feeds.plugin import Article, EntryId, Progress, Tagger, from_feed, progress

FEED = "https://courier.example/world.rss"
TARIFFS = "Exports of copper and soybeans fell after customs doubled the import duty on steel."
FOOTBALL = "The striker scored twice in the second half and the goalkeeper saved a late penalty."


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with make_reader(str(tmp_path / "feeds.sqlite"), plugins=[]) as opened:
        opened.add_feed(FEED, allow_invalid_url=True)
        yield opened


@pytest.fixture
def tagger(classifier: Classifier) -> Tagger:
    return Tagger(lambda: classifier)


def add(reader: Reader, number: int, *paragraphs: str) -> None:
    summary = "".join(f"<p>{text}</p>" for text in paragraphs)
    reader.add_entry({"feed_url": FEED, "id": str(number), "summary": summary})


def tag(reader: Reader, number: int) -> Any:
    return reader.get_tag((FEED, str(number)), TAG, None)


def renamed(classifier: Classifier, version: str) -> Classifier:
    manifest = classifier.manifest.model_copy(update={"version": version})
    return Classifier(manifest, classifier._scorer)


def test_an_entry_is_tagged_as_an_article_of_its_paragraphs_is(
    reader: Reader, tagger: Tagger, classifier: Classifier
) -> None:
    add(reader, 1, TARIFFS, FOOTBALL)
    tagger.fill_in(reader)
    found = tag(reader, 1)
    article = classifier.classify_article(f"{TARIFFS}\n\n{FOOTBALL}")
    assert found["topics"] == list(article.topics) == ["trade"]
    assert found["primary"] == "trade"
    assert found["scores"] == {name: round(score, 6) for name, score in article.scores.items()}
    assert [paragraph["topics"] for paragraph in found["paragraphs"]] == [["trade"], []]
    assert (found["model"], found["source"]) == (classifier.manifest.version, "feed")


def test_a_topic_of_a_small_part_is_not_the_entry_s(reader: Reader, tagger: Tagger) -> None:
    add(reader, 1, TARIFFS, *[FOOTBALL] * 5)
    tagger.fill_in(reader)
    assert tag(reader, 1)["topics"] == []
    assert tag(reader, 1)["paragraphs"][0]["topics"] == ["trade"]


def test_an_entry_without_words_is_tagged_with_nothing(reader: Reader, tagger: Tagger) -> None:
    add(reader, 1)
    tagger.fill_in(reader)
    assert (tag(reader, 1)["topics"], tag(reader, 1)["primary"]) == ([], None)


def test_progress_is_stored_and_a_stopped_run_goes_on(
    reader: Reader, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "BATCH", 2)
    for number in range(5):
        add(reader, number, TARIFFS)
    stop = threading.Event()

    def stopping(reader: Reader, entries: Sequence[Entry]) -> list[Article]:
        stop.set()
        return from_feed(reader, entries)

    tagger = Tagger(lambda: classifier, stopping)
    assert progress(reader) == Progress(None, 0, 0)
    tagger.fill_in(reader, stop)
    assert progress(reader) == Progress(classifier.manifest.version, 2, 5)
    assert sum(tag(reader, number) is not None for number in range(5)) == 2
    tagger.fill_in(reader)
    assert progress(reader) == Progress(classifier.manifest.version, 5, 5)
    assert all(tag(reader, number)["topics"] == ["trade"] for number in range(5))


def test_a_new_model_tags_everything_again_newest_first_and_once(
    reader: Reader, classifier: Classifier
) -> None:
    for number in range(3):
        add(reader, number, TARIFFS)
    newest_first = [entry.resource_id for entry in reader.get_entries()]
    Tagger(lambda: classifier).fill_in(reader)
    tagged: list[EntryId] = []

    def noting(reader: Reader, entries: Sequence[Entry]) -> list[Article]:
        tagged.extend(entry.resource_id for entry in entries)
        return from_feed(reader, entries)

    newer = Tagger(lambda: renamed(classifier, "newer"), noting)
    newer.fill_in(reader)
    newer.fill_in(reader)
    assert tagged == newest_first
    assert {tag(reader, number)["model"] for number in range(3)} == {"newer"}
    assert progress(reader) == Progress("newer", 3, 3)


def test_a_changed_entry_that_a_crash_left_with_its_old_tag_is_tagged_anew(
    reader: Reader, classifier: Classifier
) -> None:
    add(reader, 1, TARIFFS)
    add(reader, 2, TARIFFS)
    first = Tagger(lambda: classifier)
    first.fill_in(reader)
    first._before_feeds_update(reader)  # an update begins …
    reader.delete_entry((FEED, "2"))
    add(reader, 2, FOOTBALL)
    reader.set_tag((FEED, "2"), TAG, tag(reader, 1))
    Tagger(lambda: classifier).fill_in(reader)  # … and another process finds it unfinished
    assert (tag(reader, 1)["topics"], tag(reader, 2)["topics"]) == (["trade"], [])
