"""Where decoded audio waits for the upload's end and for a worker: on disk, whatever its length."""

import asyncio
import errno
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from serving.errors import Unavailable

# Written and read in pieces of half a minute: few trips to a thread, little memory.
_PIECE_BYTES = 1024 * 1024
_BYTES_PER_SAMPLE = 2


class ParkedAudio:
    """Samples (mono s16le) written once, then read once. Made by `parked_audio`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unwritten = bytearray()
        self._bytes = 0

    @property
    def samples(self) -> int:
        """Samples written so far."""
        return self._bytes // _BYTES_PER_SAMPLE

    async def write(self, pcm: bytes) -> None:
        """Append. Raises Unavailable where the disk is full."""
        self._bytes += len(pcm)
        self._unwritten += pcm
        if len(self._unwritten) >= _PIECE_BYTES:
            await self._flush()

    async def read(self) -> AsyncIterator[bytes]:
        """All that was written, from the start. Raises Unavailable where the disk is full."""
        await self._flush()
        await asyncio.to_thread(self._file.seek, 0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE_BYTES):
            yield piece

    async def _flush(self) -> None:
        piece, self._unwritten = self._unwritten, bytearray()
        try:
            await asyncio.to_thread(_write_all, self._file, piece)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise Unavailable(
                    "the service's disk for temporary files is full; its operator must make room"
                ) from None
            raise


@asynccontextmanager
async def parked_audio() -> AsyncIterator[ParkedAudio]:
    """An empty one. Its file has no name, so nothing is left of it however the process ends."""
    with tempfile.TemporaryFile(prefix="duoscribe-", buffering=0) as file:
        yield ParkedAudio(file)


def _write_all(file: BinaryIO, piece: bytearray) -> None:
    """A disk that is all but full takes a part of a write without an error."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
