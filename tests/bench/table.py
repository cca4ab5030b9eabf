"""The table of speed, as the README shows what ``models/bench.json`` holds."""

from typing import Any

from tests.bench.rounds import Line, thousands


def row(line: Line) -> str:
    """Write a line of the table."""
    sign = "<" if line.below else ">"
    bars = (
        f"{sign} {thousands(bar)}" if bar is not None else "" for bar in (line.floor, line.goal)
    )
    value = f"{thousands(line.value)} {line.unit}"
    return f"| {' | '.join([line.measure, value, *bars, line.verdict, line.detail])} |"


def block(content: dict[str, Any]) -> str:
    """Write the table and the machine's line.

    Parameters
    ----------
    content : dict
        What ``models/bench.json`` holds.
    """
    lines = [Line(**line) for line in content["lines"]]
    head = "| measure | figure | floor | goal | reached | from |\n|---|---|---|---|---|---|\n"
    return head + "".join(f"{row(line)}\n" for line in lines) + f"\n{content['machine']}\n"
