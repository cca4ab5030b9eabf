from pathlib import Path

import pytest

from tests.bench.compare import NoPlaceError, Row, line, put_into

AROUND = "# Title\n\n<!-- comparison: x.py -->\n{}<!-- /comparison -->\n\nend\n"


def test_what_was_not_measured_is_a_dash() -> None:
    assert line(Row("m", None, (0.5, 0.75), 1234.5, 99.6)) == (
        "| m | – | – | 0.500 | 0.750 | 1,234 | 100 |"
    )


def test_the_table_replaces_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(AROUND.format("| old \\1 |\n"), "utf-8")
    put_into(path, ["| new \\1 |", "| 2 |"])
    assert path.read_text("utf-8") == AROUND.format("| new \\1 |\n| 2 |\n")


def test_a_file_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Title\n", "utf-8")
    with pytest.raises(NoPlaceError, match="no place"):
        put_into(path, ["| new |"])
    assert path.read_text("utf-8") == "# Title\n"
