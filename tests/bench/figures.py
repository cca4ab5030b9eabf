"""Two figures for the README: throughput against peers, and cost against size."""

import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tests.bench.rounds import Line, thousands

_SIZE = (7, 3)  # inches


def draw(lines: Sequence[Line], folder: Path) -> None:
    """Draw the figures into a folder.

    Parameters
    ----------
    lines : sequence of Line
        Of the whole table.
    folder : Path
        Is given ``throughput.png`` and ``cost.png``.
    """
    by_measure = {line.measure: line for line in lines}
    own = by_measure["one core"].value
    rates = {"geotopics": own} | {
        measure.removeprefix("against "): own / line.value
        for measure, line in by_measure.items()
        if measure.startswith("against ")
    }
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    names = sorted(rates, key=rates.__getitem__)
    bars = axes.barh(names, [rates[name] for name in names], log=True)
    axes.bar_label(bars, [thousands(rates[name]) for name in names], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel("paragraphs a second on one core")
    figure.savefig(folder / "throughput.png", dpi=120)

    costs = {
        int(found[1].replace(",", "")): line.value
        for measure, line in by_measure.items()
        if (found := re.fullmatch(r"cost in calls of ([\d,]+)", measure))
    }
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot(list(costs), list(costs.values()), marker="o")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.3 * max(costs.values()))
    axes.set_xlabel("paragraphs in a call")
    axes.set_ylabel("µs a paragraph")
    figure.savefig(folder / "cost.png", dpi=120)
