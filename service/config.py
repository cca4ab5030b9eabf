"""Settings of one installation, from environment variables and a file.

Every setting has a default. ``instance/geotopics.toml`` (another file: ``GEOTOPICS_CONFIG``) may
change it, one ``name = value`` a line, and an environment variable ``GEOTOPICS_<NAME>`` wins over
the file. A wrong value, or a name in the file that is no setting, stops the start.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.errors import GeotopicsError
from service.store import DEFAULT_FOLDER

PREFIX = "GEOTOPICS_"
FILE_VARIABLE = f"{PREFIX}CONFIG"

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_PROJECT = DEFAULT_FOLDER.parent
_DEFAULT_FILE = _PROJECT / "instance" / "geotopics.toml"


class ConfigError(GeotopicsError):
    """A setting has a wrong value, or the file of settings cannot be read."""


class Settings(BaseSettings):
    """What can be set; see the module for how."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    models: Path = Field(default=DEFAULT_FOLDER, description="folder of the model versions")
    instance: Path = Field(
        default=_PROJECT / "instance", description="folder of what this installation keeps"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen at")
    port: int = Field(
        default=8000, ge=0, le=65_535, description="port to listen at; 0 takes a free one"
    )
    workers: int = Field(default=1, ge=1, le=256, description="processes that answer requests")
    max_body_bytes: int = Field(
        default=1_048_576,
        ge=1,
        description="largest request body, and largest line of an NDJSON stream",
    )
    max_paragraph_characters: int = Field(default=20_000, ge=1, description="longest paragraph")
    max_texts: int = Field(
        default=1_000, ge=1, description="most paragraphs in one request that is no stream"
    )
    poll_minutes: int = Field(
        default=60, ge=1, le=44_640, description="minutes between two polls of a feed"
    )
    full_text: bool = Field(
        default=False, description="whether to tag the page that an item links to, not the item"
    )
    allow_private: bool = Field(
        default=False, description="whether feeds may be at private and loopback addresses"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe messages that are logged"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, strongest first."""
        file = InitSettingsSource(settings_cls, init_kwargs=_read_file())
        return init_settings, env_settings, file


class Variable(NamedTuple):
    """A row of the table of settings."""

    name: str
    default: str
    meaning: str


def load(**options: object) -> Settings:
    """Read the settings.

    Parameters
    ----------
    **options
        Values that win over environment and file, from the command line for example; None
        stands for an option that was not given.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        A value is wrong, a name in the file is no setting, or the file cannot be read.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{_where(str(details['loc'][0]), given)}: {_why(details['type'], details['msg'])}"
            for details in error.errors(include_url=False)
        )
        raise ConfigError(problems) from None


def variables() -> Iterator[Variable]:
    """Yield the table of settings that the README shows."""
    yield Variable(FILE_VARIABLE, _shown(_DEFAULT_FILE), "file of settings")
    for name, field in Settings.model_fields.items():
        yield Variable(f"{PREFIX}{name.upper()}", _shown(field.default), field.description or "")


def _read_file() -> dict[str, Any]:
    named = os.environ.get(FILE_VARIABLE)
    path = Path(named) if named else _DEFAULT_FILE
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _where(name: str, options: dict[str, Any]) -> str:
    if name in options:
        return f"option --{name.replace('_', '-')}"
    variable = f"{PREFIX}{name}".upper()
    if any(known.upper() == variable for known in os.environ):
        return f"environment variable {variable}"
    return f"{name} in {os.environ.get(FILE_VARIABLE) or _shown(_DEFAULT_FILE)}"


def _why(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message


def _shown(default: object) -> str:
    # The README's table must read the same on every machine.
    if isinstance(default, Path) and default.is_relative_to(_PROJECT):
        return default.relative_to(_PROJECT).as_posix()
    return str(default)
