"""The way of an upload's bytes from the event loop into the thread that decodes them."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

# The writer waits while so many bytes are unread. One chunk may go over it.
CAPACITY_BYTES = 256 * 1024


class Stopped(Exception):  # noqa: N818 - not an error: nobody wants the recording any more
    """The other side has left; the thread is to end without a word."""


class BytePipe:
    """Bounded; written on the event loop, read in one thread.

    `on_dry` is called in the reading thread before it waits for bytes: the moment to hand over what is half done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_dry: Callable[[], None]) -> None:
        self._loop = loop
        self._on_dry = on_dry
        self._changed = threading.Condition()
        self._chunks: deque[memoryview] = deque()
        self._size = 0
        self._ended = False
        self._stopped = False
        self._room = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        """Waits for room. Once the pipe is stopped, bytes are dropped."""
        while not self._append(chunk):
            await self._room.wait()

    def end(self) -> None:
        """No more bytes will come."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def stop(self) -> None:
        """Wakes both sides for good: the reader with Stopped."""
        with self._changed:
            self._stopped = True
            self._chunks.clear()
            self._changed.notify()
        self._room.set()

    def read(self, size: int) -> bytes:
        """What is there, 1 to `size` bytes; waits for the first. Empty at the end. Raises Stopped."""
        if not self._chunks and not self._ended:
            self._on_dry()
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._ended or self._stopped)
            if self._stopped:
                raise Stopped
            return self._take(size)

    def _append(self, chunk: bytes) -> bool:
        with self._changed:
            if self._stopped:
                return True
            if self._size >= CAPACITY_BYTES:
                self._room.clear()
                return False
            self._chunks.append(memoryview(chunk))
            self._size += len(chunk)
            self._changed.notify()
            return True

    def _take(self, size: int) -> bytes:
        if not self._chunks:
            return b""
        first = self._chunks.popleft()
        if len(first) > size:
            self._chunks.appendleft(first[size:])
        taken = bytes(first[:size])
        was_full = self._size >= CAPACITY_BYTES
        self._size -= len(taken)
        if was_full and self._size < CAPACITY_BYTES:
            self._loop.call_soon_threadsafe(self._room.set)
        return taken
