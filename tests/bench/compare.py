"""Compares the model with what people would use instead, on the same files and the same texts.

Run with ``make compare``. Every model is measured by the cross-validation of `training.evaluate`,
with calibration and thresholds fitted as ours are (save the fine-tuned transformer, which is
trained once and has a fixed threshold), on a folder such as `tests.bench.devset` reads after
training on the whole corpus, and for its speed and memory by `tests.bench.footprint`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import joblib
import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from service import atomic
from service.errors import GeotopicsError
from tests.bench import devset
from training import corpus, evaluate
from training.corpus import Paragraph
from training.export import compile_tables
from training.features import vectors_installed
from training.fit import CalibratedTopics, model

README = Path(__file__).resolve().parents[2] / "README.md"
OURS = "geotopics"
SPEED_TEXTS = 1000  # every n-th paragraph of the corpus, so many in all

_HEADER = (
    "| model | CV micro-F1 | CV AP | dev micro-F1 | dev AP | paragraphs/s | memory, MB |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)
_BLOCK = re.compile(r"(<!-- comparison: \S+ -->\n).*?(<!-- /comparison -->)", re.DOTALL)


@dataclass(frozen=True)
class Peer:
    """One line of the comparison.

    Attributes
    ----------
    name : str
    model : estimator
        Unfitted, of the kind that `training.fit.CalibratedTopics` calibrates.
    folds : bool
        Whether it is trained on every fold, and calibrated; else it has probabilities and tags.
    jobs : int
        Number of processes that train folds.
    """

    name: str
    model: Any
    folds: bool = True
    jobs: int = joblib.cpu_count()


@dataclass(frozen=True)
class Row:
    """What was measured of one model; None where it was not.

    Attributes
    ----------
    held_out, dev : tuple of float or None
        Micro-F1 and macro average precision.
    speed : float
        Paragraphs per second.
    memory : float
        Resident growth, in megabytes.
    """

    name: str
    held_out: tuple[float, float] | None
    dev: tuple[float, float] | None
    speed: float
    memory: float


class NoPlaceError(GeotopicsError):
    """The file has no place for the table."""


@click.command()
@click.option("--slow", is_flag=True, help="Compare with MiniLM too, which takes an hour or more.")
@click.option(
    "--devset",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of labelled texts that lie outside the repository.",
)
@click.option("--write", is_flag=True, help="Put the table into README.md.")
def main(slow: bool, folder: Path | None, write: bool) -> None:
    """Print a table of accuracy, speed and memory."""
    paragraphs = corpus.read([corpus.SHIPPED]).paragraphs
    samples = devset.read(folder) if folder else {}
    chosen = _peers(slow=slow)
    lines = [_HEADER]
    click.echo(_HEADER)
    fits = sum(evaluate.FOLDS * peer.folds + 1 for peer in chosen)
    with tqdm(total=fits, unit="fit", dynamic_ncols=True, disable=None) as bar:
        for peer in chosen:
            bar.set_description(peer.name)
            lines.append(line(measure(peer, paragraphs, samples, bar)))
            bar.write(lines[-1])
    lines += ["", f"{datetime.now(UTC).date()}, {len(paragraphs):,} paragraphs in the corpus."]
    click.echo("\n".join(lines[-2:]))
    if write:
        put_into(README, lines)


def measure(
    peer: Peer, paragraphs: Sequence[Paragraph], samples: dict[str, devset.Sample], bar: Any
) -> Row:
    """Train and measure one model.

    Parameters
    ----------
    peer : Peer
    paragraphs : sequence of Paragraph
    samples : dict of str to devset.Sample
        May be empty.
    bar : tqdm
        Goes one step on for each fit.

    Returns
    -------
    Row
    """
    held_out = None
    data = evaluate.Data.of(paragraphs)
    if peer.folds:
        decided = evaluate.decide(
            peer.model, paragraphs, lambda _, done: bar.update(done), peer.jobs
        )
        found = evaluate.metrics(evaluate.held_out(paragraphs, decided))
        held_out = (found["micro"]["f1"], found["macro"]["average_precision"])
        fitted = CalibratedTopics(peer.model).fit(*data, decided.decisions)
    else:
        fitted = clone(peer.model).fit(*data)
    bar.update(1)
    dev = _mean_score(fitted, samples) if samples else None
    speed, memory = _footprint(fitted, paragraphs, compiled=peer.name == OURS)
    return Row(peer.name, held_out, dev, speed, memory)


def line(row: Row) -> str:
    """Write a row as a line of a Markdown table, with a dash for what was not measured."""
    accuracy = [*(row.held_out or (None, None)), *(row.dev or (None, None))]
    cells = ["–" if value is None else f"{value:.3f}" for value in accuracy]
    return f"| {' | '.join([row.name, *cells, f'{row.speed:,.0f}', f'{row.memory:,.0f}'])} |"


def put_into(path: Path, lines: Sequence[str]) -> None:
    """Replace the comparison in a Markdown file, in one step.

    Parameters
    ----------
    path : Path
        Has the comments ``<!-- comparison: … -->`` and ``<!-- /comparison -->``.
    lines : sequence of str
        What shall stand between them.

    Raises
    ------
    NoPlaceError
        One of the comments is missing.
    """
    table = "\n".join(lines)
    text, found = _BLOCK.subn(
        lambda match: f"{match[1]}{table}\n{match[2]}", path.read_text("utf-8")
    )
    if not found:
        raise NoPlaceError(
            f"{path}: no place for the comparison; put the comments <!-- comparison: … --> and "
            "<!-- /comparison --> where it belongs"
        )
    atomic.write(path, text.encode("utf-8"))


def _peers(*, slow: bool) -> list[Peer]:
    from tests.bench import estimators  # noqa: PLC0415 - needs fastText, which tests do without

    found = [
        Peer(OURS, model(vectors=vectors_installed())),
        Peer("LinearSVC on plain TF-IDF", estimators.AllTexts(estimators.linear_svc())),
        Peer("fastText, word bigrams", estimators.AllTexts(estimators.FastText())),
        Peer("complement naive Bayes", estimators.AllTexts(estimators.complement_bayes())),
    ]
    if slow:
        from tests.bench import minilm  # noqa: PLC0415 - needs torch, wanted for it only

        found += [
            # In one process, where every paragraph is embedded once.
            Peer("MiniLM-L6, frozen", estimators.AllTexts(minilm.frozen()), jobs=1),
            # Once, on the whole corpus: in the folds it would take a day.
            Peer(
                f"MiniLM-L6, fine-tuned {minilm.EPOCHS} epochs, thresholds {minilm.THRESHOLD}",
                estimators.AllTexts(minilm.FineTuned()),
                folds=False,
            ),
        ]
    return found


def _mean_score(fitted: Any, samples: dict[str, devset.Sample]) -> tuple[float, float]:
    found = []
    for sample in samples.values():
        probabilities = fitted.predict_proba(sample.texts)
        found.append(devset.score(sample, probabilities, fitted.predict(sample.texts)))
    micro, average_precision = np.mean(found, axis=0)[:2].tolist()
    return micro, average_precision


def _footprint(
    fitted: Any, paragraphs: Sequence[Paragraph], *, compiled: bool
) -> tuple[float, float]:
    texts = [paragraph.text for paragraph in paragraphs[:: len(paragraphs) // SPEED_TEXTS]]
    with TemporaryDirectory() as folder:
        saved = Path(folder, "model.npz" if compiled else "model.joblib")
        if compiled:
            np.savez(saved, **compile_tables(fitted)._asdict())
        else:
            joblib.dump(fitted, saved)
        listed = Path(folder, "texts.json")
        listed.write_text(json.dumps(texts), "utf-8")
        answer = subprocess.run(
            [sys.executable, "-m", "tests.bench.footprint", saved, listed],
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # one core
            stdout=subprocess.PIPE,
            check=True,
        )
    speed, memory = json.loads(answer.stdout)
    return speed, memory


if __name__ == "__main__":
    main()
