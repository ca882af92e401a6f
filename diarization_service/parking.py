"""Where decoded audio waits for the upload's end and for a worker: on disk, whatever its length."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from serving.disk import disk_errors

# Written and read in pieces of half a minute: few trips to a thread, little memory.
_PIECE_BYTES = 1024 * 1024
_BYTES_PER_SAMPLE = 2
_OWNER = "the diarization service"


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
        """Append. Raises Unavailable where the disk does not take it."""
        self._bytes += len(pcm)
        self._unwritten += pcm
        if len(self._unwritten) >= _PIECE_BYTES:
            await self._flush()

    async def read(self) -> AsyncIterator[bytes]:
        """All that was written, from the start. Raises Unavailable where the disk fails."""
        await self._flush()
        with disk_errors(_OWNER):
            await asyncio.to_thread(self._file.seek, 0)
        while piece := await self._piece():
            yield piece

    async def _piece(self) -> bytes:
        with disk_errors(_OWNER):
            return await asyncio.to_thread(self._file.read, _PIECE_BYTES)

    async def _flush(self) -> None:
        piece, self._unwritten = self._unwritten, bytearray()
        with disk_errors(_OWNER):
            await asyncio.to_thread(_write_all, self._file, piece)


@asynccontextmanager
async def parked_audio(directory: Path | None = None) -> AsyncIterator[ParkedAudio]:
    """An empty one. Its file has no name, so nothing is left of it however the process ends.

    `directory` is where the file goes, by default the system's. Raises Unavailable where no file can be made.
    """
    with disk_errors(_OWNER):
        made = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115 - closed below
    with made as file:
        yield ParkedAudio(file)


def _write_all(file: BinaryIO, piece: bytearray) -> None:
    """A disk that is all but full takes a part of a write without an error."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
