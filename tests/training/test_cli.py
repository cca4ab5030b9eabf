import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from training.cli import evaluate
from training.corpus import Paragraph


def test_an_evaluation_counts_each_file_and_its_paragraphs_without_a_topic(
    paragraphs: Sequence[Paragraph], tmp_path: Path
) -> None:
    for number, found in enumerate(paragraphs):
        labelled = {"id": f"p-{number}", "text": found.text, "topics": found.topics}
        with (tmp_path / f"{found.file}.jsonl").open("a") as file:
            file.write(json.dumps(labelled) + "\n")
    done = CliRunner().invoke(evaluate, ["--only", str(tmp_path)])
    assert done.exit_code == 0
    _, files = done.stdout.split("\n\n")
    lines = files.splitlines()[1:]
    every = Counter(found.file for found in paragraphs)
    without = Counter(found.file for found in paragraphs if not found.topics)
    rows = {line.split()[0]: line[28:] for line in lines}
    assert set(rows) == set(every)
    for name, row in rows.items():
        cells = [row[start : start + 11].strip() for start in range(0, 77, 11)]
        assert cells[0] == str(every[name])
        assert cells[5] == str(without[name])
        assert (cells[6] != "") == (without[name] > 0)
