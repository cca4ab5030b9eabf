"""Cuts a request body into lines as they arrive, in bounded memory.

The body is read with ``read(size)`` alone: granian's ``readline`` loses lines. That call waits
until all of ``size`` bytes are there, so a body whose length nobody has announced, behind which a
client may be waiting for an answer before it sends the next line, is read byte by byte.
"""

from collections.abc import Iterator
from typing import Protocol

_BLOCK_BYTES = 65_536  # some two hundred lines of news


class Body(Protocol):
    """A request body."""

    def read(self, size: int, /) -> bytes:
        """Return at most that many bytes, none at the end only."""


def batches(body: Body, *, announced: bool, limit: int) -> Iterator[list[bytes | None]]:
    """Read the lines of a body, as many at a time as are there.

    Parameters
    ----------
    body : Body
        Where to read from.
    announced : bool
        Whether the client has told the body's length beforehand, and so sends it all unasked.
    limit : int
        Bytes of the longest line.

    Yields
    ------
    list of bytes or None
        Lines without their end; None for one that is longer than the limit.
    """
    size = _BLOCK_BYTES if announced else 1
    line = bytearray()
    while block := body.read(size):
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
