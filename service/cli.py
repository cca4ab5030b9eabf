"""The command `geotopics`: classify, serve and models; training adds its commands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from service import config, records
from service.classifier import Classifier
from service.errors import GeotopicsError, ModelError
from service.store import NO_MODEL, ModelStore

_COMMANDS = "geotopics.commands"  # entry points of other packages, so that none is imported here
_STANDARD_INPUT = Path("-")


class _Group(click.Group):
    """Group that finds further commands by entry point and reports our errors as messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        installed = (entry.name for entry in entry_points(group=_COMMANDS))
        return sorted({*super().list_commands(ctx), *installed})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for entry in entry_points(group=_COMMANDS, name=cmd_name):
                command = entry.load()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GeotopicsError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            # A closed pipe is click's to handle.
            if isinstance(error, BrokenPipeError):
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{place}{error.strerror or error}") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="geotopics")
def main() -> None:
    """Tag paragraphs of news with defense, trade, territorial-dispute and diplomacy."""


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--from",
    "form",
    type=click.Choice(["jsonl", "csv", "text"]),
    help="Format of the input; told by the file's name or first character unless given.",
)
@click.option(
    "--to",
    type=click.Choice(["jsonl", "csv"]),
    help="Format of the output; CSV for CSV input, else JSON Lines, unless given.",
)
@click.option("--column", default="text", show_default=True, help="Key or column of the text.")
@click.option(
    "--blank-lines", is_flag=True, help="Plain text has blank lines between its paragraphs."
)
@click.option("--version", help="Use this model version instead of the current one.")
def classify(
    files: tuple[Path, ...],
    form: records.Format | None,
    to: str | None,
    column: str,
    blank_lines: bool,
    version: str | None,
) -> None:
    """Tag the texts of files or standard input.

    Reads JSON Lines, CSV or plain text, one paragraph a line. Adds `topics`, `primary` and
    `scores` to what stands there. A record that cannot be used is named on standard error and left
    out; the exit code is 1 then.

    \b
    Examples:
      geotopics classify news.jsonl > tagged.jsonl
      geotopics classify --column body --to csv export.csv > tagged.csv
      echo 'Steel tariffs were raised to 25 percent.' | geotopics classify
    """
    classifier = Classifier.load(config.load().models, version)
    output = cast(TextIOWrapper, sys.stdout)
    output.reconfigure(encoding="utf-8")
    writer: records.Writer | None = None
    complete = True
    for file in files or (_STANDARD_INPUT,):
        with _opened(file) as (stream, progress):
            kind = form or records.guess_format(file, stream)
            if writer is None:
                csv = to == "csv" or (to is None and kind == "csv")
                writer = records.CsvWriter(output) if csv else records.JsonLinesWriter(output)
            tags = _Tags(classifier, writer, file, "text" if kind == "text" else column)

            def before_wait(tags: _Tags = tags, progress: Callable[[], None] = progress) -> None:
                tags.write()
                progress()
                output.flush()  # whoever feeds a pipe line by line wants answers so

            found = records.read(
                stream, kind, tags.column, blank_lines=blank_lines, before_wait=before_wait
            )
            for line, record in found:
                tags.add(line, record)
            tags.write()
            complete &= tags.complete
    if not complete:
        sys.exit(1)


class _Tags:
    """Gathers the records of a file, tags them together and names those that cannot be used."""

    def __init__(
        self, classifier: Classifier, writer: records.Writer, file: Path, column: str
    ) -> None:
        self.complete = True
        self.column = column
        self._classifier = classifier
        self._writer = writer
        self._file = file
        self._gathered: list[tuple[int, records.Record]] = []

    def add(self, line: int, record: records.Record | records.BadRecord) -> None:
        if isinstance(record, records.BadRecord):
            self._leave_out(line, record.reason)
        else:
            self._gathered.append((line, record))

    def write(self) -> None:
        results = self._classifier.classify([record[self.column] for _, record in self._gathered])
        for (line, record), result in zip(self._gathered, results, strict=True):
            try:
                self._writer.write(records.tagged(record, result))
            except ValueError as error:
                self._leave_out(line, str(error))
        self._gathered.clear()

    def _leave_out(self, line: int, reason: str) -> None:
        click.echo(f"{self._file}:{line}: {reason}", err=True)
        self.complete = False


@contextmanager
def _opened(file: Path) -> Iterator[tuple[BufferedReader, Callable[[], None]]]:
    """Open a file or standard input; a file comes with a progress bar, shown on a terminal."""
    if file == _STANDARD_INPUT:
        yield cast(BufferedReader, sys.stdin.buffer), lambda: None
        return
    with (
        file.open("rb") as stream,
        tqdm(
            total=file.stat().st_size or None,
            unit="B",
            unit_scale=True,
            desc=file.name,
            disable=None,
        ) as bar,
    ):

        def progress() -> None:
            bar.update(stream.tell() - bar.n)

        # A named pipe has neither size nor position.
        yield stream, progress if stream.seekable() else lambda: None


@main.command()
@click.option("--host", help="Address to listen at; 127.0.0.1 unless told otherwise.")
@click.option("--port", type=int, help="Port to listen at; 8000 unless told otherwise.")
@click.option("--workers", type=int, help="Processes that answer requests; 1 unless told.")
@click.option("--watch", is_flag=True, help="Poll feeds beside; see `geotopics feeds`.")
def serve(host: str | None, port: int | None, workers: int | None, watch: bool) -> None:
    """Serve the HTTP interface and its pages.

    \b
    Example:
      geotopics serve --port 8080 --workers 2
    """
    from service.serve import run  # noqa: PLC0415 - other commands do without a web server

    run(config.load(host=host, port=port, workers=workers), watch=watch)


@main.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the models or change the current one.

    \b
    Example:
      geotopics models
    """
    if context.invoked_subcommand:
        return
    store = _store()
    current = store.current()
    manifests = store.manifests()
    if not manifests:
        raise ModelError(NO_MODEL)
    click.echo(f"  {'version':14}{'trained':22}{'paragraphs':>11}{'macro-F1':>10}{'micro-F1':>10}")
    for manifest in manifests:
        mark = "*" if manifest.version == current else " "
        trained = f"{manifest.trained_at:%Y-%m-%d %H:%M} UTC"
        macro, micro = (manifest.metrics[average]["f1"] for average in ("macro", "micro"))
        click.echo(
            f"{mark} {manifest.version:14}{trained:22}{manifest.paragraphs:>11,}"
            f"{macro:>10.3f}{micro:>10.3f}"
        )


@models.command()
@click.argument("version")
def use(version: str) -> None:
    """Make VERSION the current model.

    \b
    Example:
      geotopics models use 3fa9c1d27b10
    """
    _store().promote(version)
    click.echo(f"Model {version} is current.")


@models.command()
def rollback() -> None:
    """Make the model current that was so before the current one.

    \b
    Example:
      geotopics models rollback
    """
    click.echo(f"Model {_store().rollback()} is current again.")


@models.command()
def check() -> None:
    """Verify every file of the current model; exit with 1 if it cannot be used.

    \b
    Example:
      geotopics models check && echo fine
    """
    store = _store()
    version = store.current()
    if version is None:
        raise ModelError(NO_MODEL)
    store.load_arrays(version)
    click.echo(f"Model {version} is whole.")


@models.command()
def publish() -> None:
    """Copy the current model's card and figures to where the repository keeps them.

    \b
    Example:
      geotopics models publish
    """
    click.echo(f"{_store().publish_card()} shows the current model.")


def _store() -> ModelStore:
    return ModelStore(config.load().models)
