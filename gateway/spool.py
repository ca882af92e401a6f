"""A recording on its way from one upload to the stages that read it, each at its own pace and from the start.

It lives in memory until that is full, then in a temporary file without a name: whatever ends the process, nothing stays.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.disk import disk_errors
from serving.errors import Unavailable
from serving.times import SAMPLE_RATE

_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_OWNER = "the gateway"

# Two seconds of sound: what a reader gets at a time, at most.
PIECE_BYTES = 64 * 1024


class Spool:
    """One writer, any number of readers; for mono 16-bit samples at SAMPLE_RATE. Belongs to one event loop."""

    def __init__(self, memory_bytes: int, directory: Path | None = None) -> None:
        """Holds at most `memory_bytes` in memory; `directory` is where the file goes, by default the system's."""
        self._memory_bytes = memory_bytes
        self._directory = directory
        self._memory = bytearray()
        self._file: _NamelessFile | None = None
        self._size = 0
        self._finished = False
        self._error: BaseException | None = None
        self._changed = asyncio.Event()

    @property
    def seconds_written(self) -> float:
        return self._size / _BYTES_PER_SECOND

    async def write(self, pcm: bytes) -> None:
        """Append; readers see it once this returns. One call at a time; after a cancelled one only fail and close.

        Raises Unavailable where the disk does not take it (which fails the readers too), and the error of an earlier
        failure.
        """
        if self._error is not None:
            raise self._error
        if self._finished:
            raise ValueError("written to after finish")
        try:
            with disk_errors(_OWNER):
                await self._store(pcm)
        except Unavailable as failure:
            self.fail(failure)
            raise
        self._size += len(pcm)
        self._wake()

    def finish(self) -> None:
        """Nothing more will come: readers end after the last byte."""
        self._finished = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The upload came to nothing: readers raise `error` at once. The first failure counts."""
        if self._error is None:
            self._error = error
            self._wake()

    async def reader(self) -> AsyncIterator[bytes]:
        """All bytes from the start, in pieces of at most PIECE_BYTES as they come; whole samples, if they were written
        whole. Raises the failure.
        """
        position = 0
        while await self._has_more(position):
            piece = await self._piece(position)
            position += len(piece)
            yield piece

    def close(self) -> None:
        """Forget everything; readers that are left fail. Any number of times."""
        self.fail(ValueError("the spool is closed"))
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()

    async def _store(self, pcm: bytes) -> None:
        if self._file is None:
            if self._size + len(pcm) <= self._memory_bytes:
                self._memory += pcm
                return
            await self._move_to_file()
        await self._write_to_file(pcm)

    async def _move_to_file(self) -> None:
        file = _NamelessFile(self._directory)
        try:
            await asyncio.to_thread(file.write, self._memory, 0)
        except BaseException:
            file.close()
            raise
        if self._error is not None:
            file.close()
            raise self._error
        self._file = file
        self._memory = bytearray()

    async def _write_to_file(self, pcm: bytes) -> None:
        if self._file is not None:
            await asyncio.to_thread(self._file.write, pcm, self._size)

    async def _has_more(self, position: int) -> bool:
        """Waits until it is known."""
        while True:
            if self._error is not None:
                raise self._error
            if position < self._size:
                return True
            if self._finished:
                return False
            await self._changed.wait()

    async def _piece(self, position: int) -> bytes:
        end = min(position + PIECE_BYTES, self._size)
        if self._file is None:
            with memoryview(self._memory) as memory:
                return bytes(memory[position:end])
        with disk_errors(_OWNER):
            return await asyncio.to_thread(self._file.read, position, end)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _NamelessFile:
    """A temporary file that no directory lists. Used in threads; closes once the last of them is done with it."""

    def __init__(self, directory: Path | None) -> None:
        self._file = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115 - closed by close
        self._lock = threading.Lock()
        self._users = 0
        self._closing = False

    def write(self, data: bytes | bytearray, offset: int) -> None:
        with self._descriptor() as descriptor:
            rest = memoryview(data)
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                offset += written
                rest = rest[written:]

    def read(self, start: int, end: int) -> bytes:
        with self._descriptor() as descriptor:
            return os.pread(descriptor, end - start, start)

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._close_if_unused()

    @contextmanager
    def _descriptor(self) -> Iterator[int]:
        # A descriptor that is closed under a thread's hands may be another file's the next moment.
        with self._lock:
            if self._closing:
                raise ValueError("the spool is closed")
            self._users += 1
        try:
            yield self._file.fileno()
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._closing and not self._users:
            self._file.close()
