from pathlib import Path

import pytest

from service import config
from service.config import ConfigError


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of settings of this test's own."""
    path = tmp_path / "geotopics.toml"
    path.write_text("")
    monkeypatch.setenv("GEOTOPICS_CONFIG", str(path))
    return path


def test_without_settings_the_defaults_hold() -> None:
    settings = config.load()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.max_body_bytes == 1024 * 1024
    assert settings.max_paragraph_characters == 20_000
    assert settings.max_texts == 1_000


def test_the_file_changes_a_default(file: Path) -> None:
    file.write_text('port = 9000\nmodels = "elsewhere"\n')
    settings = config.load()
    assert settings.port == 9000
    assert settings.models == Path("elsewhere")


def test_the_environment_wins_over_the_file_and_an_option_over_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('port = 9000\nhost = "localhost"\nworkers = 3\n')
    monkeypatch.setenv("GEOTOPICS_PORT", "9001")
    monkeypatch.setenv("GEOTOPICS_HOST", "::1")
    settings = config.load(host="127.0.0.1", port=None)
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 9001, 3)


def test_a_wrong_value_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOTOPICS_PORT", "http")
    with pytest.raises(ConfigError, match=r"environment variable GEOTOPICS_PORT: .*integer"):
        config.load()


def test_a_wrong_value_in_the_file_is_named(file: Path) -> None:
    file.write_text("workers = 0\n")
    with pytest.raises(ConfigError, match=r"workers in .*geotopics\.toml: .*greater than"):
        config.load()


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"option --port: .*less than"):
        config.load(port=65_536)


def test_every_wrong_value_is_named_at_once(file: Path) -> None:
    file.write_text("workers = 0\nport = -1\n")
    with pytest.raises(ConfigError, match=r"port in .*; workers in "):
        config.load()


def test_an_unknown_name_in_the_file_is_named(file: Path) -> None:
    file.write_text("prot = 9000\n")
    with pytest.raises(ConfigError, match=r"prot in .*: there is no such setting"):
        config.load()


def test_a_file_that_is_no_toml_is_named_with_the_line(file: Path) -> None:
    file.write_text("port = 1\nhost =\n")
    with pytest.raises(ConfigError, match=r"geotopics\.toml is not valid TOML: .*line 2"):
        config.load()


def test_a_file_that_is_no_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"geotopics\.toml is not valid TOML"):
        config.load()


def test_a_file_that_was_asked_for_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOTOPICS_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        config.load()


def test_the_table_of_settings_is_the_same_on_every_machine() -> None:
    table = {row.name: row for row in config.variables()}
    assert table["GEOTOPICS_CONFIG"].default == "instance/geotopics.toml"
    assert table["GEOTOPICS_MODELS"].default == "models"
    assert table["GEOTOPICS_PORT"].default == "8000"
    assert all(row.meaning for row in table.values())
