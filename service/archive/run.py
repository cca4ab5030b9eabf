"""Spreads the partitions of an archive over the workers of a Dask cluster."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from distributed import Client, LocalCluster, as_completed

from service.archive.columns import classifier
from service.archive.layout import ArchiveError, Outcome, Output, Partition
from service.archive.partition import tag_partition
from service.errors import ModelError

_CONNECT_SECONDS = 10
_LOOK_UPS = 16  # at once; a file system behind a network answers slowly but many


def look_up(
    partitions: Sequence[Partition], output: Output
) -> tuple[list[Outcome], list[Partition]]:
    """Look up what was done before.

    Returns
    -------
    done : list of Outcome
        What became of the partitions that are done.
    missing : list of Partition
        The others.
    """
    with ThreadPoolExecutor(_LOOK_UPS) as pool:
        outcomes = list(pool.map(output.outcome, partitions))
    done = [outcome for outcome in outcomes if outcome]
    missing = [part for part, outcome in zip(partitions, outcomes, strict=True) if not outcome]
    return done, missing


@contextmanager
def cluster(scheduler: str | None, workers: int | None) -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine.

    A cluster of one's own listens on this machine only, and takes orders from nobody else: its
    connections are encrypted with keys that are made for it.

    Parameters
    ----------
    scheduler : str or None
        Address of an existing one.
    workers : int or None
        Processes of a cluster of one's own; by default as many as there are cores.

    Raises
    ------
    ArchiveError
        The scheduler does not answer.
    """
    if scheduler is None:
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                security=True,
                silence_logs=logging.CRITICAL,  # what matters is said of the partition it concerns
            ) as local,
            Client(local) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ArchiveError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        yield client


def tag_partitions(
    client: Client, partitions: Sequence[Partition], output: Output
) -> Iterator[tuple[Partition, Outcome]]:
    """Tag partitions, and tell what became of each as soon as it is known.

    A partition whose worker dies is tagged by another; one that takes three workers down with it
    has failed.

    Raises
    ------
    ArchiveError, ModelError
        The workers cannot load the model.
    """
    try:
        client.run(_load, output.version)
    except ModelError:
        raise
    except Exception as error:
        raise ArchiveError(f"the workers cannot run geotopics: {error}") from error
    futures = client.map(tag_partition, partitions, output=output, pure=False)
    partition_of = dict(zip((future.key for future in futures), partitions, strict=True))
    finished = as_completed(futures, with_results=True, raise_errors=False)
    del futures  # so that the scheduler may forget what has been told
    for future, result in finished:
        if future.status == "finished":
            yield partition_of[future.key], result
        else:
            yield partition_of[future.key], Outcome(failure=repr(result[1]))


def _load(version: str) -> None:
    classifier(version)  # stays in the worker: a model is no message
