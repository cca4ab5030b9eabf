"""Cuts a stream of bytes into lines as they arrive, in bounded memory."""

from collections.abc import Callable, Iterator


def batches(read: Callable[[], bytes], limit: int) -> Iterator[list[bytes | None]]:
    """Cut a stream into lines, as many at a time as are there.

    Parameters
    ----------
    read : callable
        Returns some of the bytes that come next, none at the end only.
    limit : int
        Bytes of the longest line.

    Yields
    ------
    list of bytes or None
        Lines without their end; None for one that is longer than the limit.
    """
    line = bytearray()
    while block := read():
        *ends, rest = block.split(b"\n")
        complete: list[bytes | None] = []
        for end in ends:
            line += end
            complete.append(_within(line, limit))
            line.clear()
        # One byte too many is enough to remember that the line is too long.
        line += rest[: limit + 1 - len(line)]
        if complete:
            yield complete
    if line:
        yield [_within(line, limit)]


def _within(line: bytearray, limit: int) -> bytes | None:
    return bytes(line) if len(line) <= limit else None
