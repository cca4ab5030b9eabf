"""The commands `geotopics feeds …`."""

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
from service.feeds import polling
from service.feeds.library import FeedsError, open_reader
from service.feeds.plugin import progress

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
    with _reader() as reader:
        for url in urls:
            try:
                reader.delete_feed(url)
            except FeedNotFoundError as error:
                raise FeedsError(polling.NO_FEED.format(url=url)) from error
            click.echo(f"Removed {url}")


@feeds.command()
@click.argument("urls", nargs=-1)
@_full_text
def update(urls: tuple[str, ...], full_text: bool | None) -> None:
    """Poll now: the feeds at URLS, or all but those that are left alone for a while.

    \b
    Example:
      geotopics feeds update
    """
    with _quiet(), polling.Poller(config.load(full_text=full_text)) as poller:
        summaries = [poller.poll_feed(url) for url in urls] or [poller.poll(scheduled=False)]
        poller.fill_in()
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
