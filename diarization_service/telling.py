"""How a caller hears of a recording, also where nothing is new."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from speech.diarization.v1.diarization_pb2 import DiarizeResponse

ResultT = TypeVar("ResultT")
Send = Callable[[DiarizeResponse], Awaitable[None]]


class Teller:
    """Sends responses, and the last progress again where nothing was new for `interval` seconds.

    A caller tells a service that waits or computes for long from one that hangs by this.
    """

    def __init__(self, send: Send, interval: float) -> None:
        self._send = send
        self._interval = interval
        self._last = DiarizeResponse()
        self._told = time.monotonic()
        # Two writes of one call must not overlap.
        self._sending = asyncio.Lock()

    async def tell(self, progress: DiarizeResponse) -> None:
        """Waits while the caller does not read."""
        async with self._sending:
            self._last = progress
            await self._send(progress)
            self._told = time.monotonic()

    async def say(self, response: DiarizeResponse) -> None:
        """What is not to be repeated. Waits while the caller does not read."""
        async with self._sending:
            await self._send(response)
            self._told = time.monotonic()

    async def during(self, work: Awaitable[ResultT]) -> ResultT:
        """The work's result; repeats what was told last until it is there. Something must have been told before.

        Raises an ExceptionGroup of what the work or sending raises.
        """
        async with asyncio.TaskGroup() as tasks:
            repeating = tasks.create_task(self._repeat())
            result = await work
            # After a write that was cancelled half way, gRPC takes no further one.
            async with self._sending:
                repeating.cancel()
        return result

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._told + self._interval - time.monotonic())
            if time.monotonic() - self._told >= self._interval:
                await self.tell(self._last)
