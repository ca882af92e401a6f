"""The way of decoded blocks from the thread back to the event loop."""

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

from serving.audio.pipe import Stopped

T = TypeVar("T")


class Handoff(Generic[T]):
    """Bounded; filled in one thread, emptied on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int) -> None:
        self._loop = loop
        self._capacity = capacity
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._stopped = False
        self._ended = False
        self._filled = asyncio.Event()

    def put(self, item: T) -> None:
        """Waits, in the thread, while the loop is `capacity` items behind. Raises Stopped."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._capacity or self._stopped)
            if self._stopped:
                raise Stopped
            self._items.append(item)
        self._loop.call_soon_threadsafe(self._filled.set)

    def end(self) -> None:
        """Nothing more will come. Called on the event loop."""
        self._ended = True
        self._filled.set()

    def stop(self) -> None:
        """Nobody will take anything any more: wakes the thread with Stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    async def take(self) -> T | None:
        """The next item, None at the end."""
        while True:
            with self._changed:
                if self._items:
                    self._changed.notify()
                    return self._items.popleft()
                if self._ended:
                    return None
                self._filled.clear()
            await self._filled.wait()
