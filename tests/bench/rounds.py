"""What every measurement of speed shares: lines of the table, and alternating rounds."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes
    ----------
    measure : str
        What was measured.
    value : float
        The figure.
    unit : str
        `x` for a ratio, `%` for a share, else what the figure counts.
    floor, goal : float or None
        What it should reach, or stay below where `below` says so.
    detail : str
        The figures that it was worked out from.
    below : bool
        Whether less is better.
    """

    measure: str
    value: float
    unit: str
    floor: float | None = None
    goal: float | None = None
    detail: str = ""
    below: bool = False

    @property
    def verdict(self) -> str:
        """What the figure reaches: `goal`, `floor`, `missed`, or nothing where nothing is set."""
        sign = -1 if self.below else 1
        for name, bar in (("goal", self.goal), ("floor", self.floor)):
            if bar is not None and sign * self.value >= sign * bar:
                return name
        return "" if self.floor is None else "missed"


def median_seconds(
    ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, float]:
    """Time ways of doing the same in alternating rounds, after a round that does not count.

    Parameters
    ----------
    ways : mapping of str to callable
    rounds : int, default=5

    Returns
    -------
    dict of str to float
        The median of each way's seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def thousands(value: float) -> str:
    """Write a figure with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
