"""Shares one engine between streams: private queues, taken in turn, so that a long file does not starve a short one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from asr_service.engines.base import Engine, Recognition, Speech


@dataclass(frozen=True)
class Decoded:
    recognition: Recognition
    seconds: float
    """Wall time that the engine took."""


@dataclass(frozen=True)
class _Job:
    speech: Speech
    result: "asyncio.Future[Decoded]"


@dataclass(eq=False)
class Stream:
    """One recording's place at the engine."""

    _scheduler: "Scheduler"
    _room: asyncio.Semaphore
    _queue: deque[_Job] = field(default_factory=deque)

    async def submit(self, speech: Speech) -> "asyncio.Future[Decoded]":
        """Queues an utterance; waits while the stream's backlog is full. The future gives what the engine raises."""
        await self._room.acquire()
        job = _Job(speech, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._scheduler.wake(self)
        return job.result

    def delivered(self) -> None:
        """Makes room for one more: its result has gone out."""
        self._room.release()

    def take(self) -> _Job | None:
        """The next utterance that somebody still waits for."""
        while self._queue:
            job = self._queue.popleft()
            if not job.result.cancelled():
                return job
        return None

    @property
    def has_work(self) -> bool:
        return bool(self._queue)

    def clear(self) -> None:
        for job in self._queue:
            job.result.cancel()
        self._queue.clear()


class Scheduler:
    """Runs an engine in `parallel` threads. Belongs to one event loop; only decoding leaves it.

    An engine that gains from batches would get several streams' next utterances in one `recognize` call:
    `_next` is the place to collect them.
    """

    def __init__(self, engine: Engine, *, parallel: int, backlog: int) -> None:
        """`backlog`: utterances of one stream that may be queued, decoding, or decoded and not yet delivered."""
        self._engine = engine
        self._parallel = parallel
        self._backlog = backlog
        self._turns: deque[Stream] = deque()
        self._work = asyncio.Semaphore(0)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="decode")
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._decode_in_turn()) for _ in range(self._parallel)]

    async def close(self) -> None:
        """Ends the workers; a decode that runs is left to end by itself."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """A stream's queue; what is left in it on exit is dropped at once."""
        stream = Stream(self, asyncio.Semaphore(self._backlog))
        try:
            yield stream
        finally:
            stream.clear()

    def wake(self, stream: Stream) -> None:
        """Puts a stream that has work into the rotation."""
        if stream not in self._turns:
            self._turns.append(stream)
        self._work.release()

    async def _decode_in_turn(self) -> None:
        while True:
            await self._work.acquire()
            if job := self._next():
                await self._decode(job)

    def _next(self) -> _Job | None:
        """The first utterance of the stream whose turn it is; the stream goes to the back."""
        while self._turns:
            stream = self._turns.popleft()
            job = stream.take()
            if stream.has_work:
                self._turns.append(stream)
            if job:
                return job
        return None

    async def _decode(self, job: _Job) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            (recognition,) = await loop.run_in_executor(self._threads, self._engine.recognize, [job.speech])
        except Exception as error:  # noqa: BLE001 - it belongs to the stream that waits for this utterance
            if not job.result.cancelled():
                job.result.set_exception(error)
            return
        if not job.result.cancelled():
            job.result.set_result(Decoded(recognition, time.perf_counter() - started))
