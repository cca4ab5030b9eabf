"""Runs the pass of `service.lookup` as machine code, which is compiled once and kept on disk.

Only who compiles imports numba, which takes half a second and 50 MB; who finds the code that an
earlier process compiled needs no more than the linker of llvmlite. It is kept in the package's own
``__pycache__``, or in the user's cache where that cannot be written; where neither can, every
process compiles for itself. Its name changes with the source, the libraries and the processor, and
a file that is damaged is made anew.
"""

import ctypes
import hashlib
import logging
from array import array
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from service import atomic
from service.tables import N_FOUND, N_RESULTS, SUMS_ROOM, WORD_ROOM, Tables

_SOURCES = ("lookup.py", "machine.py", "tables.py", "topics.py")
_DIGEST_SIZE = hashlib.sha256().digest_size

_logger = logging.getLogger(__name__)


class Model:
    """Where the tables of a model are and how long, for compiled code to read.

    Parameters
    ----------
    tables : Tables

    Attributes
    ----------
    tables : Tables
        The same, contiguous; a file's map that is so stays one.
    address : int
        Of the address and the length of each.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = Tables(*map(np.ascontiguousarray, tables))
        places = [number for table in self.tables for number in (table.ctypes.data, len(table))]
        self._places = np.array(places, dtype=np.uint64)
        self.address = self._places.ctypes.data


class Pass:
    """The compiled functions.

    Parameters
    ----------
    code : bytes
        What `compile_pass` returned.
    """

    def __init__(self, code: bytes) -> None:
        # The engine owns the memory that the code runs in.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._score = self._function("score", 6, ctypes.CFUNCTYPE)
        self._score_locked = self._function("score", 6, ctypes.PYFUNCTYPE)
        self._find = self._function("find", 5, ctypes.PYFUNCTYPE)
        self._hash_words = self._function("hash_words", 3, ctypes.PYFUNCTYPE)
        self._n_scored = ctypes.c_int64()  # which every caller knows

    def score(
        self,
        data: bytes,
        offsets: "array[int]",
        longest: int,
        model: Model,
        *,
        keep_lock: bool,
    ) -> NDArray[np.float64]:
        """Score texts.

        Parameters
        ----------
        data : bytes
            The texts, normalised, one after the other.
        offsets : array of int64
            Where each begins, and where the last one ends. There is one at least.
        longest : int
            Bytes of the longest one.
        model : Model
        keep_lock : bool
            Whether to keep Python's lock, to give and get which takes longer than a text.

        Returns
        -------
        ndarray of shape (n_texts, N_RESULTS)
            Logits; probabilities, rounded to `service.tables.DECIMALS`; and the rounded share of
            known words among all words and signs of source code.
        """
        results = np.empty((len(offsets) - 1, N_RESULTS))
        room = _room(longest)
        score = self._score_locked if keep_lock else self._score
        score(
            ctypes.addressof(self._n_scored),
            None,
            data,
            offsets.buffer_info()[0],
            len(results),
            model.address,
            _address(room),
            _address(results),
        )
        return results

    def find(self, data: bytes, model: Model) -> NDArray[np.int64]:
        """Look up the words of one text.

        Parameters
        ----------
        data : bytes
            The text, normalised.
        model : Model

        Returns
        -------
        ndarray of int64, shape (n_words, N_FOUND)
            Rows of the word, of its pair with the word before it, and of its two prefixes, for
            which only unknown words are looked up; -1 for none.
        """
        room = _room(len(data))
        found = np.empty((len(data) // 2 + 1, N_FOUND), dtype=np.int64)
        n_words = ctypes.c_int64()
        self._find(
            ctypes.addressof(n_words),
            None,
            data,
            len(data),
            model.address,
            _address(room),
            _address(found),
        )
        return found[: n_words.value]

    def hash_words(self, data: bytes) -> NDArray[np.uint64]:
        """Hash the words of one text.

        Parameters
        ----------
        data : bytes
            The text, normalised.

        Returns
        -------
        ndarray of uint64, shape (n_words, 2)
            Of each word, and of its pair with the word before it.
        """
        room = _room(len(data))
        n_words = ctypes.c_int64()
        self._hash_words(ctypes.addressof(n_words), None, data, len(data), _address(room))
        return room[SUMS_ROOM:].reshape(-1, WORD_ROOM)[: n_words.value, :2]

    def _function(self, name: str, n_arguments: int, kind: Any) -> Any:
        # The first two are where the result goes, and where numba would put an exception.
        addresses = [ctypes.c_void_p] * (2 + n_arguments)
        return kind(ctypes.c_int, *addresses)(self._engine.get_function_address(name))


@cache
def load() -> Pass:
    """Load the pass, or compile it if that was not done yet for this source on this machine."""
    name = f"lookup-{_fingerprint()}.o"
    folders = [Path(__file__).with_name("__pycache__")]
    with suppress(RuntimeError):  # there is no home
        folders.append(Path.home() / ".cache" / "geotopics")
    for folder in folders:
        with suppress(OSError):
            content = (folder / name).read_bytes()
            digest, code = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
            if hashlib.sha256(code).digest() == digest:
                return Pass(code)
    _logger.warning("compiling for this machine, which takes some seconds, once …")
    code = compile_pass()
    for folder in folders:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write(folder / name, hashlib.sha256(code).digest() + code)
            break
    return Pass(code)


def compile_pass() -> bytes:
    """Compile the pass for this machine.

    Returns
    -------
    bytes
        An object file.
    """
    from service import lookup  # noqa: PLC0415 - imports numba, which is wanted for this only

    machine = _target_machine()
    module = llvm.parse_assembly("")
    for function in (lookup.score, lookup.find, lookup.hash_words):
        part = llvm.parse_assembly(function.inspect_llvm())
        # What numba wraps around it reports exceptions by numba's own runtime. There are none, so
        # that the function within is called, and the wrapper goes.
        part.get_function(function.native_name).linkage = "internal"
        part.get_function(function.native_name.removeprefix("cfunc.")).name = function.__name__
        module.link_in(part)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    return bytes(machine.emit_object(module))


def _target_machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )


def _fingerprint() -> str:
    folder = Path(__file__).parent
    parts = [
        *((folder / name).read_text("utf-8") for name in _SOURCES),
        *(version(library) for library in ("llvmlite", "numba")),
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _room(n_bytes: int) -> NDArray[np.uint64]:
    # Each word takes a byte and a separator at least.
    return np.empty(SUMS_ROOM + (n_bytes // 2 + 1) * WORD_ROOM, dtype=np.uint64)


def _address(numbers: Any) -> int:
    # A third of what `array.ctypes` takes, which shows where a call scores one text.
    return ctypes.addressof(ctypes.c_char.from_buffer(numbers))
