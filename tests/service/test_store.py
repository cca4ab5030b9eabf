import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from service.errors import ModelError
from service.store import FORMAT, Manifest, ModelStore

FACTS: dict[str, Any] = {
    "topics": ("defense",),
    "thresholds": {"defense": 0.5},
    "vectors": False,
    "paragraphs": 2,
    "corpus_digest": "0" * 64,
    "libraries": {},
    "metrics": {},
}


def save(store: ModelStore, number: int) -> Manifest:
    def fill(folder: Path) -> None:
        (folder / "figures").mkdir()
        (folder / "figures" / "curve.png").write_bytes(bytes([number]))
        (folder / "card.md").write_text(f"card {number}")

    return store.save({"bias": np.array([number])}, FACTS, fill)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Two versions, the second of which is current."""
    store = ModelStore(tmp_path / "models")
    for number in (1, 2):
        store.promote(save(store, number).version)
    return store


def current_number(store: ModelStore) -> int:
    current = store.current()
    assert current is not None
    return int(store.load_arrays(current)[1]["bias"][0])


def test_an_empty_store_has_no_current_model(tmp_path: Path) -> None:
    assert ModelStore(tmp_path / "none").current() is None


def test_arrays_are_maps_of_the_file_and_begin_with_a_cache_line(model_store: ModelStore) -> None:
    _, arrays = model_store.load_arrays(str(model_store.current()))
    for array in arrays.values():
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0


def test_a_saved_model_is_not_current_before_it_is_promoted(store: ModelStore) -> None:
    manifest = save(store, 3)
    assert current_number(store) == 2
    store.promote(manifest.version)
    assert current_number(store) == 3


def test_rolling_back_makes_earlier_models_current_until_there_is_none(store: ModelStore) -> None:
    store.rollback()
    assert current_number(store) == 1
    with pytest.raises(ModelError, match="no earlier version"):
        store.rollback()
    assert current_number(store) == 1


def test_the_same_content_is_the_same_version_and_is_not_written_again(store: ModelStore) -> None:
    current = store.current()
    assert current is not None
    before = store.folder(current).stat().st_ino
    assert save(store, 2).version == current
    assert store.folder(current).stat().st_ino == before


def test_saving_the_content_of_a_damaged_version_repairs_it(store: ModelStore) -> None:
    current = store.current()
    assert current is not None
    (store.folder(current) / "card.md").write_text("something else")
    assert save(store, 2).version == current
    assert current_number(store) == 2


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage_alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_truncate, damage_alter, Path.unlink])
@pytest.mark.parametrize("name", ["scorer.joblib", "card.md", "figures/curve.png"])
def test_a_model_with_a_damaged_file_is_refused_before_anything_is_unpickled(
    store: ModelStore, name: str, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    current = store.current()
    assert current is not None
    damage(store.folder(current) / name)
    monkeypatch.setattr(joblib, "load", lambda *_, **__: pytest.fail("it was unpickled"))
    with pytest.raises(ModelError, match=rf"{name} of model {current} .*train again"):
        store.load_arrays(current)


def test_a_damaged_model_is_not_promoted(store: ModelStore) -> None:
    manifest = save(store, 3)
    damage_alter(store.folder(manifest.version) / "scorer.joblib")
    with pytest.raises(ModelError, match="SHA-256"):
        store.promote(manifest.version)
    assert current_number(store) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
        (f'{{"format": {FORMAT}}}', "damaged"),
        ('{"format": 0}', "format 0"),
    ],
)
def test_a_damaged_manifest_is_refused(store: ModelStore, content: str, message: str) -> None:
    current = store.current()
    assert current is not None
    (store.folder(current) / "manifest.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        store.load_arrays(current)
    assert [manifest.version for manifest in store.manifests()] != [current]


def test_a_manifest_that_does_not_vouch_for_the_arrays_is_refused(store: ModelStore) -> None:
    current = store.current()
    assert current is not None
    path = store.folder(current) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["scorer.joblib"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="does not vouch"):
        store.load_arrays(current)


@pytest.mark.parametrize("name", ["../secret", "a/b", "..", ".", "", "a b", "\0"])
def test_no_version_name_leads_out_of_the_store(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelError, match="not the name of a model version"):
        store.load_arrays(name)


def test_a_file_named_in_the_manifest_cannot_lie_outside_the_version(store: ModelStore) -> None:
    current = store.current()
    assert current is not None
    path = store.folder(current) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["../../secret"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="damaged"):
        store.load_arrays(current)


def test_a_pointer_that_cannot_be_read_is_reported(store: ModelStore) -> None:
    store.pointer.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="geotopics models use"):
        store.current()
    version = store.manifests()[0].version
    store.promote(version)
    assert store.current() == version


def test_a_model_that_cannot_be_saved_leaves_a_message_and_the_current_one(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(store.root.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"No space left on device.*current model is untouched"):
        save(store, 3)
    assert sorted(store.root.iterdir()) == before
    assert current_number(store) == 2


def test_the_published_card_is_that_of_the_current_model(store: ModelStore) -> None:
    assert store.publish_card().read_text() == "card 2"
    assert (store.root / "figures" / "curve.png").read_bytes() == b"\x02"


FILE_EVENTS = frozenset(
    {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}
)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that is killed before its n-th file operation; tell whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def kill(event: str, _arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in FILE_EVENTS:
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        try:
            sys.addaudithook(kill)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_training_killed_between_any_two_steps_leaves_a_whole_current_model(
    store: ModelStore,
) -> None:
    def save_and_promote() -> None:
        store.promote(save(store, 3).version)

    seen = []
    step = 0
    while killed_at(step, save_and_promote):
        seen.append(current_number(store))
        step += 1
    assert step > 10
    assert seen == sorted(seen)
    assert set(seen) == {2, 3}
    assert current_number(store) == 3
