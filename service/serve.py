"""Serves the application with granian until a signal ends it."""

import gc
import logging
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing.synchronize import Semaphore

from flask import Flask
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from service.config import LOG_FORMAT, Settings
from service.current import CurrentModel
from service.errors import GeotopicsError, ModelError
from service.http import create_app

# Python runs one thread at a time, so more threads do not make answers faster; they are there so
# that slow streams do not keep others from being answered. More requests than threads wait in line.
_THREADS = 64
_STOP_SECONDS = 10  # that requests in progress have to finish after a signal


class ServeError(GeotopicsError):
    """The server cannot listen where it was told to."""


def run(settings: Settings, *, watch: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters
    ----------
    settings : Settings
        Address, workers and everything else.
    watch : bool, default=False
        Whether to poll feeds beside, in a process that ends with this one.

    Raises
    ------
    ServeError
        The address is taken or is not one of this machine.
    """
    port = _free_port(settings)
    server = Granian(
        "service.wsgi:app",
        address=settings.host,
        port=port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=_THREADS,
        backpressure=_THREADS,
        websockets=False,
        workers_kill_timeout=_STOP_SECONDS,
        respawn_failed_workers=True,
        # Its info messages are about processes, which are nobody's concern but its own.
        log_level=LogLevels.error,
    )
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    message = f"geotopics listens at http://{shown}:{port} (stop with Ctrl-C)"
    # Granian's main process does not know when its workers are ready, so the first of them says it.
    first = multiprocessing.Semaphore()
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    current = None
    if multiprocessing.get_start_method() == "fork":
        # Workers share what has been loaded before they are forked, and start at once. It stays for
        # good: a collection that looked through it would give each worker a copy of its own.
        current = CurrentModel(settings.models)
        with suppress(ModelError):
            current.get()
        gc.freeze()
    load = partial(_load, settings, current, message, first)
    with _polling(settings) if watch else nullcontext():
        server.serve(target_loader=load, wrap_loader=False)


@contextmanager
def _polling(settings: Settings) -> Iterator[None]:
    from service.feeds.polling import run  # noqa: PLC0415 - serving alone does without it

    process = multiprocessing.get_context("spawn").Process(target=run, args=(settings,))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(_STOP_SECONDS)
        process.kill()  # a round may take minutes, and bears being killed


def _load(
    settings: Settings, current: CurrentModel | None, message: str, first: Semaphore
) -> Flask:
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    app = create_app(settings, current)
    if first.acquire(block=False):
        print(message, flush=True)
    return app


def _free_port(settings: Settings) -> int:
    # Granian shares its port with whoever else shares theirs, so that a second server would start
    # and take every other request; this asks without sharing.
    try:
        [address, *_] = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, place = address
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            port: int = probe.getsockname()[1]
    except OSError as error:
        raise ServeError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror}; "
            "choose another with --host or --port"
        ) from error
    return port
