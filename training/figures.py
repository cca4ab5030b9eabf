"""Draws the figures of the model card."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from service.topics import TOPICS
from training.evaluate import CALIBRATION_BINS, HeldOut, bin_of

# Okabe and Ito's palette, told apart by colour-blind readers too; in the order of TOPICS.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
CURVE_POINTS = 300  # of a precision-recall curve; more cannot be seen
INCHES = (6.4, 4.8)
DOTS_PER_INCH = 110


def draw(result: HeldOut, curve: list[dict[str, float]], folder: Path) -> None:
    """Write the four figures as PNG.

    Parameters
    ----------
    result : HeldOut
        What `training.evaluate.held_out` returned.
    curve : list of dict
        What `training.evaluate.learning_curve` returned.
    folder : Path
        Where to write; must exist.
    """
    drawings: dict[str, Callable[[Axes], None]] = {
        "precision-recall": lambda axes: _precision_recall(axes, result),
        "reliability": lambda axes: _reliability(axes, result),
        "confusion": lambda axes: _confusion(axes, result),
        "learning-curve": lambda axes: _learning_curve(axes, curve),
    }
    for name, drawing in drawings.items():
        figure = Figure(figsize=INCHES, layout="constrained")
        drawing(figure.add_subplot())
        # Without the metadata of the library the same figure gives the same bytes.
        figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def confusion(result: HeldOut) -> NDArray[np.float64]:
    """Say what happens to the paragraphs of each topic.

    Parameters
    ----------
    result : HeldOut

    Returns
    -------
    ndarray of shape (n_topics + 1, n_topics + 1)
        Rows: paragraphs that carry a topic, and those that carry none. Columns: the share of them
        that is tagged with the topic (rightly on the diagonal, wrongly elsewhere; tags that are
        right beside the row's topic do not count), and the share that gets no tag at all.
    """
    rows = [*result.labels.T, ~result.labels.any(axis=1)]
    wrong = result.predicted & ~result.labels
    shares = np.zeros((len(TOPICS) + 1, len(TOPICS) + 1))
    for row, chosen in enumerate(rows):
        if not chosen.any():
            continue
        shares[row, :-1] = wrong[chosen].mean(axis=0)
        if row < len(TOPICS):
            shares[row, row] = result.predicted[chosen, row].mean()
        shares[row, -1] = (~result.predicted[chosen].any(axis=1)).mean()
    return shares


def _precision_recall(axes: Axes, result: HeldOut) -> None:
    for column, topic in enumerate(TOPICS):
        precision, recall, _ = precision_recall_curve(
            result.labels[:, column], result.probabilities[:, column]
        )
        shown = np.linspace(0, len(recall) - 1, CURVE_POINTS).astype(int)
        axes.plot(recall[shown], precision[shown], color=COLOURS[column], label=topic)
        label, predicted = result.labels[:, column], result.predicted[:, column]
        hits = (label & predicted).sum()
        axes.plot(
            hits / max(label.sum(), 1),
            hits / max(predicted.sum(), 1),
            "o",
            color=COLOURS[column],
            markeredgecolor="black",
        )
    axes.set(
        title="Precision and recall on held-out paragraphs (dot: at the threshold)",
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)


def _reliability(axes: Axes, result: HeldOut) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for column, topic in enumerate(TOPICS):
        label, probability = result.labels[:, column], result.probabilities[:, column]
        bins = bin_of(probability)
        used = [chosen for b in range(CALIBRATION_BINS) if (chosen := bins == b).any()]
        axes.plot(
            [probability[chosen].mean() for chosen in used],
            [label[chosen].mean() for chosen in used],
            "o-",
            color=COLOURS[column],
            label=topic,
        )
    axes.set(
        title="Reliability on held-out paragraphs",
        xlabel="predicted probability",
        ylabel="share that carries the topic",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)


def _confusion(axes: Axes, result: HeldOut) -> None:
    shares = confusion(result)
    names = [*TOPICS, "none"]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            f"{share:.1%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    axes.set(
        title="What paragraphs of each topic are tagged with\n(off the diagonal: wrong tags)",
        xlabel="tagged",
        ylabel="carries",
    )


def _learning_curve(axes: Axes, curve: list[dict[str, float]]) -> None:
    sizes = [point["paragraphs"] for point in curve]
    axes.plot(sizes, [point["average_precision"] for point in curve], "o-", color=COLOURS[1])
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.set(
        title="Learning curve on held-out paragraphs",
        xlabel="paragraphs trained on",
        ylabel="macro average precision",
    )
    axes.grid(alpha=0.3)
