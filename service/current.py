"""The model to answer with: the one that is current, also when that changes.

``models/current`` is looked at when the model is asked for, at most twice a second. When it was
replaced, the first to ask loads the new model, while others get the old one. A model that
cannot be loaded leaves the old one in place; the next change of the pointer is the next attempt.
"""

import logging
import threading
import time
from pathlib import Path

from service.classifier import Classifier
from service.errors import ModelError
from service.store import NO_MODEL, ModelStore

LOOK_SECONDS = 0.5  # between two looks at the pointer, each of which is a system call

_logger = logging.getLogger(__name__)

_Mark = tuple[int, int, int]


class CurrentModel:
    """The classifier of the current model; nothing is loaded before it is asked for.

    Parameters
    ----------
    models : Path
        The folder of the model versions; it need not exist yet.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self._pointer = ModelStore(models).pointer
        self._loading = threading.Lock()
        self._seen: _Mark | None = None
        self._look_at = 0.0  # on the monotonic clock
        self._classifier: Classifier | None = None
        self._problem = NO_MODEL

    def get(self) -> Classifier:
        """Return the classifier to answer with.

        Raises
        ------
        ModelError
            No model could be loaded so far.
        """
        now = time.monotonic()
        if now >= self._look_at or self._classifier is None:
            self._look_at = now + LOOK_SECONDS
            mark = self._mark()
            if mark is not None and mark != self._seen:
                self._load(mark)
        if self._classifier is None:
            raise ModelError(self._problem)
        return self._classifier

    def _mark(self) -> _Mark | None:
        try:
            status = self._pointer.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _load(self, mark: _Mark) -> None:
        # Without an old model to answer with there is nothing better to do than to wait.
        if not self._loading.acquire(blocking=self._classifier is None):
            return
        try:
            if mark == self._seen:
                return
            self._classifier = Classifier.load(self._models)
            _logger.info("model %s loaded", self._classifier.manifest.version)
        except Exception as error:
            # Whatever is wrong with a new model must not end a service that has an old one.
            known = isinstance(error, ModelError)
            self._problem = str(error) if known else f"{type(error).__name__}: {error}"
            _logger.error("the current model cannot be loaded: %s", self._problem)
        finally:
            self._seen = mark
            self._loading.release()
