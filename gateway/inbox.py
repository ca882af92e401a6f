"""Where reports wait for the one that merges and answers."""

import asyncio

from gateway.reports import Fact, Progress, Stage


class Inbox:
    """A bounded queue of facts, and the latest progress of each stage. One reader, any number of writers.

    A caller who reads slowly holds back the facts, and through them the backends; progress never waits and never piles
    up. It comes after the facts that were reported before it.
    """

    def __init__(self, size: int) -> None:
        self._facts: asyncio.Queue[Fact] = asyncio.Queue(size)
        self._progress: dict[Stage, Progress] = {}
        self._changed = asyncio.Event()

    async def put(self, fact: Fact) -> None:
        """Waits while the inbox is full."""
        await self._facts.put(fact)
        self._changed.set()

    def note(self, progress: Progress) -> None:
        self._progress[progress.stage] = progress
        self._changed.set()

    async def get(self) -> Fact | Progress:
        """The next fact; without one, the latest progress of a stage."""
        while True:
            if not self._facts.empty():
                return self._facts.get_nowait()
            if self._progress:
                return self._progress.pop(next(iter(self._progress)))
            self._changed.clear()
            await self._changed.wait()
