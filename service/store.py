"""A folder of model versions, one of which is current.

Layout::

    models/
        current            names of the promoted versions, newest first; the first one is current
        <version>/
            manifest.json  what the model is; names every other file with its SHA-256
            scorer.joblib  the arrays that the service scores with
            …              the scikit-learn pipeline, metrics, card and figures, for people

A version is named after the digest of its files. Folders are written whole and `current` is
replaced in one step, so that a run killed at any moment leaves the earlier model current and whole.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import joblib
from joblib.numpy_pickle import NumpyPickler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service import atomic
from service.errors import ModelError

FORMAT = 5  # raised when arrays saved by an older training can no longer be scored
DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "models"

NO_MODEL = "there is no model yet; train one with `make train`"

_MANIFEST = "manifest.json"
_ARRAYS = "scorer.joblib"
_CURRENT = "current"
_KEPT_PROMOTIONS = 100
VERSION_LENGTH = 12  # hexadecimal digits

Fraction = Annotated[float, Field(ge=0, le=1)]
FileName = Annotated[str, Field(pattern=r"^[\w-]+([./][\w-]+)*$")]  # leads nowhere but down


class Manifest(BaseModel):
    """What a saved model is, where it came from and how good it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    version: str
    trained_at: datetime
    topics: tuple[str, ...]
    thresholds: dict[str, Fraction]
    vectors: bool
    paragraphs: int
    corpus_digest: str
    libraries: dict[str, str]
    metrics: dict[str, Any]
    files: dict[FileName, str]


class ModelStore:
    """The models of one installation.

    Parameters
    ----------
    root : Path
        The folder; it need not exist before something is saved into it.
    """

    def __init__(self, root: Path = DEFAULT_FOLDER) -> None:
        self.root = root
        self.pointer = root / _CURRENT

    def current(self) -> str | None:
        """Name of the current version, or None where there is none."""
        return next(iter(self._promotions()), None)

    def manifests(self) -> list[Manifest]:
        """Manifests of all readable versions, newest first."""
        found = []
        for path in self.root.glob(f"[!.]*/{_MANIFEST}"):
            try:
                found.append(self.manifest(path.parent.name))
            except ModelError:
                continue
        return sorted(found, key=lambda manifest: manifest.trained_at, reverse=True)

    def manifest(self, version: str) -> Manifest:
        """Read the manifest of a version.

        Raises
        ------
        ModelError
            There is no such version, or its manifest is damaged or of another format.
        """
        folder = self.folder(version)
        try:
            content = (folder / _MANIFEST).read_bytes()
        except OSError as error:
            raise ModelError(
                f"model {version} has no readable {_MANIFEST} ({error.strerror}); "
                "`geotopics models` lists the versions that can be used"
            ) from error
        try:
            found = json.loads(content).get("format")
            if found != FORMAT:
                raise ModelError(
                    f"model {version} is of format {found}, this version of geotopics reads format "
                    f"{FORMAT}; train again with `make train`"
                )
            manifest = Manifest.model_validate_json(content)
        except (ValueError, AttributeError, ValidationError) as error:
            raise ModelError(
                f"{_MANIFEST} of model {version} is damaged; train again with `make train`"
            ) from error
        return manifest

    def folder(self, version: str) -> Path:
        """Folder of a version; a name that could lead out of the store is refused.

        Raises
        ------
        ModelError
            The name is not one that `save` gives.
        """
        if not version.isalnum():
            raise ModelError(f"{version!r} is not the name of a model version")
        return self.root / version

    def load_arrays(self, version: str) -> tuple[Manifest, dict[str, Any]]:
        """Verify every file of a version and load its arrays.

        Returns
        -------
        manifest : Manifest
        arrays : dict
            What training handed to `save`; the arrays are read-only maps of the file, which
            the workers of one machine share.

        Raises
        ------
        ModelError
            A file is missing or differs from its checksum; nothing of it has been unpickled.
        """
        manifest = self.manifest(version)
        folder = self.folder(version)
        for name, expected in manifest.files.items():
            try:
                found = _sha256(folder / name)
            except OSError as error:
                raise ModelError(
                    f"{name} of model {version} cannot be read ({error.strerror}); "
                    "use another version (`geotopics models`) or train again (`make train`)"
                ) from error
            if found != expected:
                raise ModelError(
                    f"{name} of model {version} is not what training wrote (its SHA-256 differs); "
                    "use another version (`geotopics models`) or train again (`make train`)"
                )
        if _ARRAYS not in manifest.files:
            raise ModelError(f"the manifest of model {version} does not vouch for {_ARRAYS}")
        return manifest, joblib.load(folder / _ARRAYS, mmap_mode="r")

    def save(
        self, arrays: Mapping[str, Any], facts: Mapping[str, Any], fill: Callable[[Path], None]
    ) -> Manifest:
        """Write a new version whole, without making it current.

        Parameters
        ----------
        arrays : mapping
            What `load_arrays` shall give back.
        facts : mapping
            The fields of the manifest that only training knows.
        fill : callable
            Gets the folder in the making; adds the files for people.

        Returns
        -------
        Manifest
            The manifest as saved.

        Raises
        ------
        ModelError
            The folder could not be written; nothing of it is left.
        """
        try:
            return self._save(arrays, facts, fill)
        except OSError as error:
            raise ModelError(
                f"the model could not be saved in {self.root} ({error.strerror}); "
                "the current model is untouched"
            ) from error

    def check_writable(self) -> None:
        """Find out before a long training whether its model can be saved.

        Raises
        ------
        ModelError
            Nothing can be written into the store.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with atomic.temporary_folder(self.root):
                pass
        except OSError as error:
            raise ModelError(f"{self.root} cannot be written ({error.strerror})") from error

    def _save(
        self, arrays: Mapping[str, Any], facts: Mapping[str, Any], fill: Callable[[Path], None]
    ) -> Manifest:
        self.root.mkdir(parents=True, exist_ok=True)
        with atomic.temporary_folder(self.root) as folder:
            with (folder / _ARRAYS).open("wb") as file:
                _AlignedPickler(file).dump(dict(arrays))
            fill(folder)
            files = {
                path.relative_to(folder).as_posix(): _sha256(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
            manifest = Manifest(
                format=FORMAT,
                version=hashlib.sha256(repr(files).encode()).hexdigest()[:VERSION_LENGTH],
                trained_at=datetime.now(UTC).replace(microsecond=0),
                files=files,
                **facts,
            )
            (folder / _MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
            final = self.folder(manifest.version)
            if final.exists():
                try:
                    # The same training gave the same files: they may be in use, so they stay.
                    return self.load_arrays(manifest.version)[0]
                except ModelError:
                    shutil.rmtree(final)
            atomic.publish(folder, final)
        return manifest

    def promote(self, version: str) -> None:
        """Make a version current, after a look at whether it is whole.

        Raises
        ------
        ModelError
            The version is missing or damaged; the current one stays.
        """
        self.load_arrays(version)
        try:
            earlier = [name for name in self._promotions() if name != version]
        except ModelError:
            earlier = []  # an unreadable list is replaced, as its message advises
        self._write_promotions([version, *earlier])

    def rollback(self) -> str:
        """Make the version current that was so before the current one.

        Returns
        -------
        str
            Its name.

        Raises
        ------
        ModelError
            There is no earlier version, or it is damaged; the current one stays.
        """
        promotions = self._promotions()
        if len(promotions) < 2:
            raise ModelError("there is no earlier version to go back to")
        self.load_arrays(promotions[1])
        self._write_promotions(promotions[1:])
        return promotions[1]

    def publish_card(self) -> Path:
        """Copy the card and figures of the current model into the store's own folder.

        Returns
        -------
        Path
            The copy of the card, which a repository keeps so that people can read it.

        Raises
        ------
        ModelError
            There is no current model.
        """
        version = self.current()
        if version is None:
            raise ModelError(NO_MODEL)
        folder = self.folder(version)
        (self.root / "figures").mkdir(exist_ok=True)
        for figure in sorted((folder / "figures").iterdir()):
            atomic.write(self.root / "figures" / figure.name, figure.read_bytes())
        atomic.write(self.root / "card.md", (folder / "card.md").read_bytes())
        return self.root / "card.md"

    def _promotions(self) -> list[str]:
        try:
            return self.pointer.read_text("ascii").split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{_CURRENT} in the models folder cannot be read; name a version anew with "
                "`geotopics models use VERSION`"
            ) from error

    def _write_promotions(self, promotions: list[str]) -> None:
        lines = "".join(f"{name}\n" for name in promotions[:_KEPT_PROMOTIONS])
        atomic.write(self.pointer, lines.encode("ascii"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _AlignedPickler(NumpyPickler):  # type: ignore[misc]
    """Writes what `joblib.load` reads, with arrays that begin with a cache line.

    At joblib's own 16 bytes rows of the scorer's tables lie across two, which costs a sixth of its
    speed.
    """

    def _create_array_wrapper(self, array: Any) -> Any:
        wrapper = super()._create_array_wrapper(array)
        wrapper.numpy_array_alignment_bytes = 64
        return wrapper
