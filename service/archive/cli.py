"""The command that tags archives."""

import sys

import click
from tqdm import tqdm

from service import config
from service.classifier import Classifier
from service.errors import GeotopicsError


class MissingError(GeotopicsError):
    """The packages that archives need are not installed."""


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.argument("output")
@click.option("--column", default="text", show_default=True, help="Key or column of the text.")
@click.option("--scheduler", help="Address of a Dask scheduler, instead of this machine's cores.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes on this machine; one a core unless told.",
)
@click.option("--version", help="Use this model version instead of the current one.")
def archive(
    inputs: tuple[str, ...],
    output: str,
    column: str,
    scheduler: str | None,
    workers: int | None,
    version: str | None,
) -> None:
    """Tag an archive of Parquet, JSON Lines or CSV files.

    INPUT is a folder, a file or a pattern: a path, or any URL that fsspec knows. Each file, plain
    or compressed (.gz, .zst), is tagged into a file of the same name and kind in the folder OUTPUT.
    Run again after a crash, or when files have been added or changed, and only what is missing is
    done. Rows that cannot be used are listed in OUTPUT/_rejected; the exit code is 1 then, or when
    a file could not be tagged.

    \b
    Examples:
      geotopics archive news-2024/ tagged/
      geotopics archive --column body --scheduler tcp://10.0.0.5:8786 's3://desk/*.parquet' s3://tagged
    """
    try:
        from service.archive import layout, run  # noqa: PLC0415 - a plain installation has no Dask
    except ImportError as error:
        raise MissingError(
            f"archives need Dask and what belongs to it ({error}); install it with `make archive`, "
            "or as the extra `archive` of the package: `pip install 'geotopics[archive]'`"
        ) from error
    model = Classifier.load(config.load().models, version)
    target = layout.Output.at(output, column, model.manifest.version)
    partitions, left_out = layout.find(inputs, target)
    if left_out:
        click.echo(f"{len(left_out):,} files are left out, such as {left_out[0]}", err=True)
    target.claim()
    done, missing = run.look_up(partitions, target)
    tagged, rejected, failed = 0, sum(outcome.rejected for outcome in done), 0
    if missing:
        todo = sum(partition.size for partition in missing)
        total = sum(partition.size for partition in partitions)
        with (
            run.cluster(scheduler, workers) as client,
            tqdm(total=total, initial=total - todo, unit="B", unit_scale=True, disable=None) as bar,
        ):
            bar.write(f"Dashboard: {client.dashboard_link}", file=sys.stderr)
            for partition, outcome in run.tag_partitions(client, missing, target):
                if outcome.failure:
                    bar.write(f"{partition.path}: {outcome.failure}", file=sys.stderr)
                    failed += 1
                tagged += outcome.tagged
                rejected += outcome.rejected
                bar.set_postfix_str(f"{tagged:,} paragraphs", refresh=False)
                bar.update(partition.size)
    target.clear()
    click.echo(
        f"{tagged:,} paragraphs tagged in {len(missing) - failed:,} files; "
        f"{len(done):,} files were done before."
    )
    if rejected:
        click.echo(f"{rejected:,} rows are rejected; see {target.rejected}", err=True)
    if failed:
        click.echo(f"{failed:,} files could not be tagged; run again to try them again", err=True)
    if rejected or failed:
        sys.exit(1)
