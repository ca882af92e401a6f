"""Worker processes, each with places for several recordings."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from diarization_service.metrics import DiarizationMetrics
from diarization_service.process import Worker
from serving import logs
from serving.errors import DuoscribeError, Overloaded
from serving.status import most_telling
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

# Before another try: of a caller who found no place, and at a worker that did not come up.
_RETRY_SECONDS = 5.0

_log = logs.get_logger(__name__)

Spawn = Callable[[int], Awaitable[Worker]]


class Slot:
    """Where one worker is, or the one in its place after it was lost."""

    def __init__(self, number: int, spawn: Spawn) -> None:
        self.number = number
        self.taken = 0
        """Recordings that are in flight here, or about to be."""
        self._spawn = spawn
        self._worker: Worker | None = None
        self._starting: asyncio.Task[Worker] | None = None

    @property
    def usable(self) -> bool:
        """Whether a worker is here now."""
        return self._worker is not None and self._worker.usable

    async def worker(self) -> Worker:
        """The worker; where it was lost, its replacement once that is there. Raises Unavailable where none can be had."""
        if self._worker is not None and self._worker.usable:
            return self._worker
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._replaced())
        # Who stops waiting leaves it to the others.
        return await asyncio.shield(self._starting)

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._worker is not None:
            await self._worker.close()

    async def _replaced(self) -> Worker:
        before, self._worker = self._worker, None
        if before is not None:
            await before.close()
        self._worker = await self._spawn(self.number)
        return self._worker


class WorkerPool:
    """`size` workers made by `spawn`, which is given each one's number from 0 on.

    A worker that was lost is replaced at once, in the background. If that fails, the next recording tries again, and is told
    so if it fails too; without one, so does the background after a while.
    """

    def __init__(
        self, spawn: Spawn, metrics: DiarizationMetrics, *, size: int = 1, recordings: int = 1
    ) -> None:
        """`recordings`: places of each worker."""
        self._metrics = metrics
        self._recordings = recordings
        self._slots = [Slot(number, spawn) for number in range(size)]
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self) -> DescribeDiarizationResponse:
        """Start all workers and wait until they are warm; what one of them says of itself. Raises Unavailable."""
        try:
            async with asyncio.TaskGroup() as group:
                starting = [group.create_task(slot.worker()) for slot in self._slots]
        except BaseExceptionGroup as failures:
            raise most_telling(failures) from None
        for slot in self._slots:
            self._in_background(self._keep(slot))
        return starting[0].result().description

    @contextmanager
    def place(self) -> Iterator[Slot]:
        """A place at the worker that has most left. Raises Overloaded where all are taken."""
        free = [slot for slot in self._slots if slot.taken < self._recordings]
        if not free:
            self._metrics.refused()
            raise Overloaded(
                f"all {self._recordings * len(self._slots)} places for recordings are taken; "
                "try again later, or another replica",
                retry_after=_RETRY_SECONDS,
            )
        slot = min(free, key=lambda slot: (not slot.usable, slot.taken))
        slot.taken += 1
        self._metrics.started()
        try:
            yield slot
        finally:
            slot.taken -= 1
            self._metrics.ended()

    def wait(self, of_worker: Callable[[int], float]) -> float:
        """How long a newcomer would wait, in seconds, at the worker where that is least.

        `of_worker` says it by a worker's number; of one without recordings it is not asked, for such a one reports nothing new.
        """
        return min(of_worker(slot.number) if slot.taken else 0.0 for slot in self._slots)

    async def close(self) -> None:
        """End all workers, whatever they are doing."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await asyncio.gather(*(slot.close() for slot in self._slots))

    async def _keep(self, slot: Slot) -> None:
        """Replaces the slot's worker whenever it is lost."""
        while True:
            try:
                worker = await slot.worker()
            except DuoscribeError as error:
                _log.error("a worker could not be replaced", reason=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - the next recording tries again
                _log.error("a worker could not be replaced", exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await worker.ended()
                self._metrics.lost(slot.number)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
