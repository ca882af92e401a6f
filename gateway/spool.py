"""A recording on its way from one upload to the stages that read it, each at its own pace and from the start.

It lives in memory until that is full. From then on it goes to a temporary file without a name, and only its end stays in
memory, for readers that keep up: whatever ends the process, nothing stays.
"""

import asyncio
import os
import tempfile
import threading
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.turns import Turns
from serving.disk import disk_errors
from serving.errors import Unavailable
from serving.times import SAMPLE_RATE

_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_OWNER = "the gateway"

# Eight seconds of sound: what a reader gets at a time, at most.
PIECE_BYTES = 256 * 1024

# Readers take a turn for a piece of half a second or more, writers after each four seconds: more turns would cut what readers
# get into smaller pieces, of which each costs the same.
_LARGE_BYTES = 16 * 1024
_WRITTEN_A_TURN = 128 * 1024

# What goes to the file at a time, at least, since every turn in a thread costs as much as copying it.
_SPILLED_BYTES = 512 * 1024
# What stays in memory of a recording that did not fit: half a minute.
_TAIL_BYTES = 1024 * 1024


class Spool:
    """One writer, any number of readers; for mono 16-bit samples at SAMPLE_RATE. Belongs to one event loop."""

    def __init__(self, memory_bytes: int, directory: Path | None = None, turns: Turns | None = None) -> None:
        """Holds at most `memory_bytes` in memory; `directory` is where the file goes, by default the system's.

        `turns` are those that the spools of one event loop share.
        """
        self._memory_bytes = memory_bytes
        self._directory = directory
        self._turns = turns or Turns()
        self._written_since_turn = 0
        # What was written last, and where in the recording each of it starts; the first `_spilled` bytes are in the file.
        self._blocks: list[bytes] = []
        self._starts: list[int] = []
        self._spilled = 0
        self._file: _NamelessFile | None = None
        self._size = 0
        self._finished = False
        self._error: BaseException | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def seconds_written(self) -> float:
        return self._size / _BYTES_PER_SECOND

    @property
    def bytes_in_memory(self) -> int:
        return self._size - self._spilled

    @property
    def bytes_on_disk(self) -> int:
        return self._spilled

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
        await self._take_turn_to_go_on(len(pcm))

    def finish(self) -> None:
        """Nothing more will come: readers end after the last byte."""
        self._finished = True
        self._ended.set()
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The upload came to nothing: readers raise `error` at once. The first failure counts."""
        if self._error is None:
            self._error = error
            self._ended.set()
            self._wake()

    async def reader(self, gather_seconds: float = 0.0) -> AsyncIterator[bytes]:
        """All bytes from the start, in pieces of at most PIECE_BYTES as they come; whole samples, if they were written
        whole. Raises the failure.

        A piece shorter than `gather_seconds` of sound is followed by the next one so much later, so that what comes
        meanwhile comes together; the end is not waited for.
        """
        position = 0
        while await self._has_more(position):
            piece = await self._piece(position)
            position += len(piece)
            if len(piece) >= _LARGE_BYTES:
                await self._turns.take()
            yield piece
            if len(piece) < gather_seconds * _BYTES_PER_SECOND:
                await self._ended_within(gather_seconds)

    def close(self) -> None:
        """Forget everything; readers that are left fail. Any number of times."""
        self.fail(ValueError("the spool is closed"))
        self._forget(len(self._blocks))
        if self._file is not None:
            self._file.close()

    async def _store(self, pcm: bytes) -> None:
        self._blocks.append(pcm)
        self._starts.append(self._size)
        if self._size + len(pcm) - self._spilled > self._memory_bytes:
            await self._spill()

    async def _spill(self) -> None:
        """Make room: what is oldest in memory goes to the file."""
        if self._file is None:
            self._file = _NamelessFile(self._directory)
            self._memory_bytes = min(self._memory_bytes, _TAIL_BYTES)
        oldest = bisect_left(self._starts, self._spilled + _SPILLED_BYTES)
        data = b"".join(self._blocks[:oldest])
        await asyncio.to_thread(self._file.write, data, self._spilled)
        self._forget(oldest)
        self._spilled += len(data)

    def _forget(self, oldest: int) -> None:
        del self._blocks[:oldest], self._starts[:oldest]

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

    async def _take_turn_to_go_on(self, size: int) -> None:
        self._written_since_turn += size
        if self._written_since_turn >= _WRITTEN_A_TURN:
            self._written_since_turn = 0
            await self._turns.take()

    async def _ended_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def _piece(self, position: int) -> bytes:
        end = min(position + PIECE_BYTES, self._size)
        if self._file is None or position >= self._spilled:
            return self._in_memory(position, end)
        with disk_errors(_OWNER):
            return await asyncio.to_thread(self._file.read, position, min(end, self._spilled))

    def _in_memory(self, start: int, end: int) -> bytes:
        """A block that is read as it was written is not copied."""
        first, last = bisect_right(self._starts, start) - 1, bisect_left(self._starts, end)
        offset = start - self._starts[first]
        return b"".join(self._blocks[first:last])[offset : offset + end - start]

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

    def write(self, data: bytes, offset: int) -> None:
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
