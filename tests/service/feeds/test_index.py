import sqlite3

from service.config import Settings
from service.feeds.database import DATABASE, Database
from service.feeds.library import open_reader
from service.feeds.publishing import publish
from service.feeds.selection import Selection, select
from tests.service.feeds import samples


def titles(settings: Settings) -> list[str]:
    return [item.title for item in select(Database(settings.instance), Selection()).items]


def test_tags_that_were_there_before_are_published(settings: Settings) -> None:
    with open_reader(settings) as reader:
        samples.add(reader, "before", ["trade"])
        assert titles(settings) == []
        publish(settings, reader)
    assert titles(settings) == ["Title of before"]


def test_what_changed_while_nobody_watched_is_made_good(settings: Settings) -> None:
    samples.fill(settings)
    database = sqlite3.connect(settings.instance / DATABASE)
    # As after an update of reader that makes its table of tags anew.
    database.execute("DROP TRIGGER geotopics_tag_set")
    database.commit()
    database.close()
    with open_reader(settings) as reader:
        samples.add(reader, "unseen", ["trade"])
        publish(settings, reader)
    assert titles(settings) == [f"Title of {name}" for name in ("unseen", "three", "two", "one")]


def test_a_transaction_that_fails_keeps_its_changes_for_the_next_time(settings: Settings) -> None:
    samples.fill(settings)
    with open_reader(settings) as reader:
        samples.add(reader, "new", ["trade"])
        database = Database(settings.instance)
        try:
            with database.writing() as connection:
                connection.execute("DELETE FROM geotopics_changes")
                raise InterruptedError
        except InterruptedError:
            pass
        publish(settings, reader)
    assert "Title of new" in titles(settings)
