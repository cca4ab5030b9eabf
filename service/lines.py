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
    start = bytearray()  # of a line whose end is still to come
    while block := read():
        *ends, rest = block.split(b"\n")
        if ends:
            start += ends[0]
            ends[0] = bytes(start)
            start.clear()
            yield [end if len(end) <= limit else None for end in ends]
        # One byte too many is enough to remember that the line is too long.
        start += rest[: limit + 1 - len(start)]
    if start:
        yield [bytes(start) if len(start) <= limit else None]
