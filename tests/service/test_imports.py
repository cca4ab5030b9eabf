import os
import subprocess
import sys

from service.store import ModelStore

SERVE = """
import sys
from service.config import load
from service.http import create_app
client = create_app(load()).test_client()
answer = client.post("/v1/classify", json={"text": "Tariffs rose.", "explain": True})
assert answer.status_code == 200
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_serving_imports_nothing_of_training(model_store: ModelStore) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        capture_output=True,
        text=True,
        env=os.environ | {"GEOTOPICS_MODELS": str(model_store.root)},
        check=True,
    )
    imported = set(done.stdout.split())
    assert "flask" in imported
    assert not {"training", "sklearn", "scipy", "numba", "matplotlib", "pyarrow"} & imported
