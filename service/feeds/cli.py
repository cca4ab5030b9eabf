"""The commands `geotopics feeds …`."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO

import click
from reader import (
    FeedNotFoundError,
    InvalidFeedURLError,
    Reader,
    ReaderWarning,
    opml,
)

from service import config
from service.feeds import polling, publishing, webhooks
from service.feeds.database import Database, FeedsError
from service.feeds.items import described
from service.feeds.library import open_reader
from service.feeds.plugin import progress
from service.feeds.selection import MOST, Selection, select
from service.topics import TOPICS

_TOPIC = click.Choice(TOPICS)
_full_text = click.option(
    "--full-text",
    is_flag=True,
    default=None,
    help="Tag the pages that items link to; robots.txt is obeyed.",
)


@click.group()
def feeds() -> None:
    """Poll news feeds and tag every item.

    \b
    Example:
      geotopics feeds add https://example.org/world.rss
      geotopics feeds watch
    """


@feeds.command()
@click.argument("urls", nargs=-1, required=True)
def add(urls: tuple[str, ...]) -> None:
    """Add the feeds at URLS; one that is there already is polled again if it was stopped.

    \b
    Example:
      geotopics feeds add https://example.org/world.rss
    """
    with _reader() as reader:
        for url in urls:
            try:
                reader.add_feed(url, exist_ok=True)
            except InvalidFeedURLError as error:
                raise FeedsError(f"{url} is no address of a feed: {error.message}") from error
            polling.resume(reader, url)
            click.echo(f"Added {url}")


@feeds.command("import")
@click.argument("file", type=click.File("rb"))
def import_(file: IO[bytes]) -> None:
    """Add the feeds of an OPML FILE; those that are there already are passed over.

    \b
    Example:
      geotopics feeds import subscriptions.opml
    """
    with _reader() as reader:
        try:
            found = opml.parse(file)
        except opml.OPMLError as error:
            raise FeedsError(f"{file.name} is no OPML file: {error}") from error
        if not found:
            raise FeedsError(f"{file.name} names no feed (an outline with type and xmlUrl)")
        added = 0
        for result in reader.import_feeds_iter(found):
            added += result.added
            if result.error is not None:
                click.echo(f"{result.feed.url} is no address of a feed", err=True)
    click.echo(f"Added {added} of {len(found)} feeds.")


@feeds.command()
def export() -> None:
    """Write all feeds as OPML to standard output.

    \b
    Example:
      geotopics feeds export > subscriptions.opml
    """
    with _reader() as reader:
        click.echo(reader.export_feeds().content, nl=False)


@feeds.command("list")
def list_() -> None:
    """List the feeds with their items, polls and problems.

    \b
    Example:
      geotopics feeds list
    """
    with _reader() as reader:
        for row in polling.overview(reader):
            click.echo(f"{row.url}  ({row.title})" if row.title else row.url)
            click.echo(f"  {row.items} items, polled {_when(row.polled)}, next {_when(row.next)}")
            if row.problem:
                click.echo(f"  {row.problem}")
        model, done, total = progress(reader)
    if done < total:
        click.echo(f"Tagging with model {model}: {done} of {total} items looked at.")


@feeds.command()
@click.argument("urls", nargs=-1, required=True)
def remove(urls: tuple[str, ...]) -> None:
    """Remove the feeds at URLS with all their items.

    \b
    Example:
      geotopics feeds remove https://example.org/world.rss
    """
    settings = config.load()
    with open_reader(settings) as reader:
        for url in urls:
            try:
                reader.delete_feed(url)
            except FeedNotFoundError as error:
                raise FeedsError(polling.NO_FEED.format(url=url)) from error
            click.echo(f"Removed {url}")
        publishing.publish(settings, reader)


@feeds.command()
@click.argument("urls", nargs=-1)
@_full_text
def update(urls: tuple[str, ...], full_text: bool | None) -> None:
    """Poll now: the feeds at URLS, or all but those that are left alone for a while.

    \b
    Example:
      geotopics feeds update
    """
    settings = config.load(full_text=full_text)
    with _quiet(), polling.Poller(settings) as poller:
        summaries = [poller.poll_feed(url) for url in urls] or [poller.poll(scheduled=False)]
        poller.fill_in()
        publishing.publish(settings, poller.reader)
    for summary in summaries:
        click.echo(f"Polled {summary.feeds} feeds: {polling.said(summary)}.")


@feeds.command()
@_full_text
def watch(full_text: bool | None) -> None:
    """Poll every feed when it is due, until Ctrl-C.

    \b
    Example:
      geotopics feeds watch
    """
    polling.run(config.load(full_text=full_text))


@feeds.command()
@click.option(
    "--topic", "topics", multiple=True, type=_TOPIC, help="One of these; any unless given."
)
@click.option("--all", "every", is_flag=True, help="All of the topics, not one of them.")
@click.option("--source", metavar="URL", help="Only of this feed.")
@click.option("-q", "words", metavar="WORDS", help='Only with these words; a "phrase" in quotes.')
@click.option("--since", type=click.DateTime(), help="Only what came since, in local time.")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def entries(
    topics: tuple[str, ...],
    every: bool,
    source: str | None,
    words: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the newest items that carry a topic.

    \b
    Examples:
      geotopics feeds entries --topic defense --topic trade --all
      geotopics feeds entries --since 2026-03-01 -q '"steel tariffs"' --json
    """
    moment = since.astimezone() if since else None
    wanted = Selection(topics, every, source, words, moment, limit)
    for item in select(Database(config.load().instance), wanted).items:
        if as_json:
            click.echo(json.dumps(described(item), ensure_ascii=False))
            continue
        scores = ", ".join(f"{topic} {item.scores[topic]:.2f}" for topic in item.topics)
        click.echo(f"{_when(item.published)}  {scores}")
        click.echo(f"  {item.title}")
        click.echo(f"  {item.link or item.source.url}")


@feeds.group()
def notify() -> None:
    """Post each new item to a web address.

    \b
    Example:
      geotopics feeds notify add --topic defense --min-score 0.8 https://desk.example.org/hook
    """


@notify.command("add")
@click.argument("url")
@click.option("--topic", type=_TOPIC, help="Only items that carry it; any topic unless given.")
@click.option(
    "--min-score", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Least score."
)
def notify_add(url: str, topic: str | None, min_score: float) -> None:
    """Post every item that is new from now on to URL; prints the secret of its signatures.

    \b
    Example:
      geotopics feeds notify add --topic defense --min-score 0.8 https://desk.example.org/hook
    """
    number, secret = webhooks.subscribe(_database(), url, topic, min_score)
    click.echo(f"Added subscription {number}. Its secret, shown this once:\n{secret}")


@notify.command("list")
def notify_list() -> None:
    """List the subscriptions with what was delivered and what is wrong.

    \b
    Example:
      geotopics feeds notify list
    """
    for found in webhooks.subscriptions(Database(config.load().instance)):
        least = f" from {found.min_score:g}" if found.min_score else ""
        click.echo(f"{found.number}  {found.topic or 'any topic'}{least}  {found.url}")
        click.echo(
            f"   {found.delivered} delivered, {found.waiting} waiting, {found.given_up} given up"
        )
        if found.problem:
            click.echo(f"   {found.problem}{', sent nothing more' if found.stopped else ''}")


@notify.command("remove")
@click.argument("number", type=int)
def notify_remove(number: int) -> None:
    """Remove subscription NUMBER with what waits to be sent to it.

    \b
    Example:
      geotopics feeds notify remove 1
    """
    webhooks.unsubscribe(_database(), number)
    click.echo(f"Removed subscription {number}")


def _database() -> Database:
    settings = config.load()
    with open_reader(settings):  # makes the file where there is none
        return Database(settings.instance)


def _reader() -> Reader:
    return open_reader(config.load())


@contextmanager
def _quiet() -> Iterator[None]:
    # reader warns of each item that it has to leave out; `feeds list` is the place for problems.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReaderWarning)
        yield


def _when(time: datetime | None) -> str:
    return "never" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"
