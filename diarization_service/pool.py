"""Worker processes, lent to one recording at a time, first come, first served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from diarization_service.process import Worker
from serving import logs
from serving.errors import DuoscribeError
from serving.status import most_telling
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

_log = logs.get_logger(__name__)


class WorkerPool:
    """`size` workers made by `spawn`.

    A worker that was lost, or did not obey a cancellation, is replaced as soon as it comes back, in the background. If that
    fails, the next recording tries again, and is told so if it fails too.
    """

    def __init__(
        self, spawn: Callable[[], Awaitable[Worker]], *, size: int = 1, cancel_grace_seconds: float = 5.0
    ) -> None:
        self._spawn = spawn
        self._size = size
        self._cancel_grace_seconds = cancel_grace_seconds
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._workers: set[Worker] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def start(self) -> DescribeDiarizationResponse:
        """Start all workers and wait until they are warm; what one of them says of itself. Raises Unavailable."""
        try:
            async with asyncio.TaskGroup() as group:
                starting = [group.create_task(self._new()) for _ in range(self._size)]
        except BaseExceptionGroup as failures:
            raise most_telling(failures) from None
        for worker in starting:
            self._idle.put_nowait(worker.result())
        return starting[0].result().description

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker of one's own, waited for in line. Raises Unavailable where a lost one cannot be replaced."""
        worker = await self._idle.get()
        try:
            worker = await self._usable(worker)
            yield worker
        finally:
            self._in_background(self._take_back(worker))

    async def close(self) -> None:
        """End all workers, whatever they are doing."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _take_back(self, worker: Worker) -> None:
        try:
            await worker.settle(self._cancel_grace_seconds)
            worker = await self._usable(worker)
        except DuoscribeError as error:
            _log.error("a worker could not be replaced", reason=error.message)
        except Exception as error:  # noqa: BLE001 - the next recording tries again
            _log.error("a worker could not be replaced", exc_info=error)
        finally:
            # Whatever happened: a place that is lost is lost for good, and recordings would wait for it for ever.
            self._idle.put_nowait(worker)

    async def _usable(self, worker: Worker) -> Worker:
        """The worker itself, or another in its place."""
        if worker.usable:
            return worker
        replacement = await self._new()
        self._workers.discard(worker)
        await worker.close()
        return replacement

    async def _new(self) -> Worker:
        worker = await self._spawn()
        self._workers.add(worker)
        return worker

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
