"""The commands that make and measure models: train, evaluate, measure, corpus."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from service import config
from service.classifier import Classifier
from service.store import ModelStore
from service.topics import TOPICS
from training import corpus as corpora
from training import evaluate as evaluation
from training.features import vectors_installed
from training.fit import model
from training.summary import summary
from training.train import STEPS, TOLERATED_LOSS
from training.train import train as run

PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
_NOT_WHOLE_FILES = (
    f"These figures flatter: some topic is in {evaluation.FOLDS} files or fewer, so that whole "
    "files could not be left out, only paragraphs. Spread yours over more files, by source or day."
)
ONLY = click.option("--only", is_flag=True, help="Leave the shipped paragraphs out.")


@click.command()
@PATHS
@ONLY
@click.option("--force", is_flag=True, help="Promote the model even if it is worse.")
def train(paths: tuple[Path, ...], only: bool, force: bool) -> None:
    """Train a model, on your own paragraphs too.

    PATHS are files or folders with labelled paragraphs: JSON Lines or CSV, also as exported by
    doccano, Label Studio and Prodigy.

    \b
    Example:
      geotopics train desk-2026.jsonl corrections.csv
    """
    paragraphs = _read(paths, only=only)
    store = ModelStore(config.load().models)
    with _progress(STEPS) as progress:
        outcome = run(paragraphs, store, force=force, progress=progress, jobs=_cores())
    manifest = outcome.manifest
    report = manifest.metrics
    click.echo(_table(report))
    if not report["whole_files_left_out"]:
        click.echo(_NOT_WHOLE_FILES, err=True)
    if not vectors_installed():
        click.echo("Trained without word vectors, as their package is not installed.", err=True)
    folder = store.folder(manifest.version)
    click.echo(f"Model {manifest.version} is saved; its card is {folder / 'card.md'}")
    if outcome.promoted:
        click.echo("It is the current model now. Next: `make serve`, or `geotopics classify FILE`.")
        return
    click.echo(
        f"It is NOT the current model: its macro-F1 on the shipped files is {outcome.loss:.3f} "
        f"below the current one's ({TOLERATED_LOSS} is tolerated). Make it current all the same "
        f"with `geotopics models use {manifest.version}`, or train with --force (FORCE=1).",
        err=True,
    )


@click.command()
@PATHS
@ONLY
def evaluate(paths: tuple[Path, ...], only: bool) -> None:
    """Print how good a training is on unseen files.

    Trains on the shipped paragraphs and on those in PATHS, as `geotopics train` does, but leaves
    out whole files in turn, measures on them and saves nothing.

    \b
    Example:
      geotopics evaluate
    """
    paragraphs = _read(paths, only=only)
    with _progress(evaluation.FOLDS) as progress:
        decided = evaluation.decide(
            model(vectors=vectors_installed()), paragraphs, progress, _cores()
        )
    result = evaluation.held_out(paragraphs, decided)
    report = evaluation.metrics(result)
    click.echo(f"{_table(report)}\n\n{_files(report['files'])}")
    if not evaluation.leaves_files_out(paragraphs):
        click.echo(_NOT_WHOLE_FILES, err=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--version", help="Measure this version instead of the current one.")
def measure(paths: tuple[Path, ...], version: str | None) -> None:
    """Print how good a model is on your paragraphs.

    PATHS are files or folders with labelled paragraphs that the model was not trained on.

    \b
    Example:
      geotopics measure sample-of-our-feed.csv
    """
    paragraphs = _read(paths, only=True)
    classifier = Classifier.load(config.load().models, version)
    results = classifier.classify([paragraph.text for paragraph in paragraphs])
    compared = evaluation.compare(
        paragraphs,
        np.array([[result.scores[topic] for topic in TOPICS] for result in results]),
        np.array([[topic in result.topics for topic in TOPICS] for result in results]),
    )
    click.echo(_table(evaluation.metrics(compared)))


@click.command()
@PATHS
def corpus(paths: tuple[Path, ...]) -> None:
    """Check and count labelled paragraphs.

    Counts by file, topic, combination of topics, length and sentences. PATHS are files or folders;
    without any, the shipped corpus is counted.

    \b
    Example:
      geotopics corpus desk-2026.jsonl
    """
    click.echo(summary(_read(paths, only=bool(paths))))


def _read(paths: tuple[Path, ...], *, only: bool) -> tuple[corpora.Paragraph, ...]:
    if only and not paths:
        raise click.UsageError("--only (ONLY=1) needs files of your own (CORPUS=…)")
    found = corpora.read([*([] if only else [corpora.SHIPPED]), *paths])
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    return found.paragraphs


@contextmanager
def _progress(steps: int) -> Iterator[evaluation.Progress]:
    """Show a bar on a terminal, else a line a step."""
    with tqdm(total=steps, unit="step", dynamic_ncols=True, disable=None) as bar:
        done = 0

        def progress(doing: str, more: int) -> None:
            nonlocal done
            done += more
            if bar.disable:
                click.echo(f"[{done}/{steps}] {doing}", err=True)
            bar.set_description(doing)
            bar.update(more)

        yield progress


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _table(report: dict[str, Any]) -> str:
    measures = ("precision", "recall", "f1", "average_precision", "brier", "ece", "support")
    titles = ("precision", "recall", "F1", "AP", "Brier", "ECE", "n")
    lines = [f"{'':20}" + "".join(f"{title:>11}" for title in titles)]
    rows = [
        *report["topics"].items(),
        *((name.replace("_", " "), report[name]) for name in ("macro", "micro", "any_topic")),
    ]
    for name, scores in rows:
        cells = [_cell(scores.get(measure)) for measure in measures]
        lines.append(f"{name:20}" + "".join(f"{cell:>11}" for cell in cells))
    lines.append(f"{'primary right':20}{_cell(report['primary_accuracy']):>11}")
    none = report["no_topic"]
    lines.append(
        f"{'no topic, yet tagged':20}{_cell(none['tagged']):>11}{_cell(none['support']):>66}"
    )
    return "\n".join(lines)


def _files(reports: dict[str, dict[str, Any]]) -> str:
    titles = ("n", "F1", "precision", "recall", "primary", "no topic", "yet tagged")
    lines = [f"{'file':28}" + "".join(f"{title:>11}" for title in titles)]
    for name, report in reports.items():
        micro, none = report["micro"], report["no_topic"]
        values = (
            report["paragraphs"],
            *(micro[measure] for measure in ("f1", "precision", "recall")),
            report["primary_accuracy"],
            none["support"],
            none["tagged"],
        )
        lines.append(f"{name:28}" + "".join(f"{_cell(value):>11}" for value in values))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
