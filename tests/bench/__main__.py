"""Measures speed and publishes the figures: ``make bench``, or ``python -m tests.bench``.

Prints a table, writes it to ``models/bench.json`` and into the README, and draws two figures beside
the model card's. With ``--slow`` it also runs peers that take minutes; with ``--only NAME`` one
part, of which nothing is published.

A part is a function that takes the corpus and the store of models and yields lines of the table;
`PARTS` lists them in the order in which the table shows them.
"""

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import sklearn

from service import atomic
from service.store import DEFAULT_FOLDER, ModelStore
from tests.bench import archive, batch, entries, feeds, figures, files, served
from tests.bench.rounds import Line
from tests.bench.table import block, row
from training import corpus
from training.corpus import Paragraph

Part = Callable[[Sequence[Paragraph], ModelStore], Iterator[Line]]

PARTS: dict[str, Part] = {
    "peers": partial(batch.against_peers, slow=False),
    "ceiling": batch.against_ceiling,
    "single": batch.single,
    "threads": batch.threads,
    "sizes": batch.sizes,
    "http": served.single_requests,
    "http-many": served.many_paragraphs,
    "start": served.start_and_memory,
    "files": files.command_line,
    "archive": lambda *_: archive.lines(),
    "feeds": feeds.polling,
    "entries": entries.answers,
}

JSON_FILE = DEFAULT_FOLDER / "bench.json"
README = DEFAULT_FOLDER.parent / "README.md"


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--slow", action="store_true", help="run peers that take minutes, too")
    parser.add_argument("--only", choices=PARTS, help="run one part and publish nothing")
    options = parser.parse_args()
    parts = PARTS | {"peers": partial(batch.against_peers, slow=options.slow)}
    paragraphs = corpus.read([corpus.SHIPPED]).paragraphs
    store = ModelStore()
    lines = []
    for name in [options.only] if options.only else parts:
        for line in parts[name](paragraphs, store):
            print(row(line), flush=True)
            lines.append(line)
    print(machine())
    if not options.only:
        publish(lines)


def machine() -> str:
    """Name the processor, the versions that decide speed, and the day."""
    name = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {name} with {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}, "
        f"scikit-learn {sklearn.__version__}"
    )


def publish(lines: Sequence[Line]) -> None:
    """Write ``models/bench.json``, the figures and the README's table."""
    figures.draw(lines, DEFAULT_FOLDER / "figures")
    content: dict[str, Any] = {"machine": machine(), "lines": [asdict(line) for line in lines]}
    atomic.write(JSON_FILE, (json.dumps(content, indent=2) + "\n").encode())
    readme = re.sub(
        r"(<!-- bench: \S+ -->\n).*(<!-- /bench -->)",
        lambda found: found[1] + block(content) + found[2],
        README.read_text("utf-8"),
        flags=re.DOTALL,
    )
    atomic.write(README, readme.encode())


if __name__ == "__main__":
    main()
