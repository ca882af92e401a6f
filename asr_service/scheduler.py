"""Shares one engine between streams: their utterances are queued, batched and decoded; asr_service/batching.py says how."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from asr_service.batching import BatchQueue
from asr_service.decoding import Decoder
from asr_service.engines.base import Engine, Speech
from asr_service.jobs import Batch, Decoded, Job
from asr_service.metrics import AsrMetrics
from serving.errors import Overloaded

# What a refused caller is told to wait, whatever the estimate.
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    parallel: int
    """Batches decoded at once."""
    backlog: int
    """Utterances of one stream that may be queued, decoding, or decoded and not yet delivered."""
    max_batch: int
    """Utterances in a batch."""
    max_batch_seconds: float = math.inf
    """Of audio, in a batch of several."""
    max_delay: float
    """Seconds for which an utterance may wait for company while the engine is idle."""
    max_queue: int
    """From so many queued utterances on, no stream queues a second one and no further stream is let in."""


@dataclass(eq=False)
class Stream:
    """One recording's place at the engine."""

    _scheduler: "Scheduler"
    _room: asyncio.Semaphore
    jobs: set[Job] = field(default_factory=set)
    """Whose results are still to come."""
    is_complete: bool = False

    async def submit(self, speech: Speech) -> "asyncio.Future[Decoded]":
        """Queues an utterance; waits while the stream's backlog or the whole queue is full.

        The future gives what the engine raises. Cancelling it takes the utterance back.
        """
        await self._room.acquire()
        return await self._scheduler.enqueue(self, speech)

    def complete(self) -> None:
        """Says that no further utterance will come, so that no other stream's waits for one."""
        self.is_complete = True
        self._scheduler.wake()

    def delivered(self) -> None:
        """Makes room for one more: its result has gone out."""
        self._room.release()


class Scheduler:
    """Runs an engine in `limits.parallel` threads. Belongs to one event loop; only decoding leaves it."""

    def __init__(self, engine: Engine, limits: Limits, metrics: AsrMetrics) -> None:
        self._engine = engine
        self._limits = limits
        self._metrics = metrics
        self._queue = BatchQueue[Job](
            max_batch=limits.max_batch, max_delay=limits.max_delay, max_seconds=limits.max_batch_seconds
        )
        self._streams: set[Stream] = set()
        self._jobs = 0
        self._seconds = 0.0
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._free = asyncio.Semaphore(limits.parallel)
        self._decoder = Decoder(engine, limits.parallel, metrics)
        self._decoding: set[asyncio.Task[None]] = set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._queue_changed()

    def start(self) -> None:
        self._dispatcher = asyncio.create_task(self._dispatch())

    async def close(self) -> None:
        """Stops what runs; a batch that does not heed it is left to end by itself."""
        for stream in self._streams:
            _cancel(stream)
        tasks = [*self._decoding, *([self._dispatcher] if self._dispatcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._decoder.close()

    @asynccontextmanager
    async def stream(self, *, is_let_in: bool = False) -> AsyncIterator[Stream]:
        """A recording's stream. What is left of it on exit leaves the queue, and its batch is stopped if it was alone there.

        Raises Overloaded while the queue is full, unless its caller `is_let_in` already.
        """
        if not is_let_in:
            self.check_room()
        stream = Stream(self, asyncio.Semaphore(self._limits.backlog))
        self._streams.add(stream)
        is_whole = False
        try:
            yield stream
            is_whole = stream.is_complete and not stream.jobs
        finally:
            self._streams.discard(stream)
            if not is_whole:
                self._metrics.given_up()
            _cancel(stream)
            self.wake()

    async def enqueue(self, stream: Stream, speech: Speech) -> "asyncio.Future[Decoded]":
        while stream in self._queue and not self._has_room.is_set():
            await self._has_room.wait()
        loop = asyncio.get_running_loop()
        job = Job(
            stream=stream,
            speech=speech,
            bucket=self._engine.bucket(speech),
            padded=self._engine.padded(speech),
            arrived=loop.time(),
            result=loop.create_future(),
        )
        stream.jobs.add(job)
        self._count(1, job.seconds)
        job.result.add_done_callback(lambda _: self._settled(stream, job))
        self._queue.add(job)
        self._queue_changed()
        return job.result

    def wait(self) -> float:
        """Seconds until all that waits or is being decoded is decoded, as fast as lately; 0 before anything was."""
        return self._decoder.time_for(self._seconds)

    def wake(self) -> None:
        """Lets the dispatcher think again about whom it waits for."""
        self._news.set()

    def check_room(self) -> None:
        """Raises Overloaded while the queue is full."""
        if self._has_room.is_set():
            return
        self._metrics.refused()
        wait = self._decoder.time_for(self._queue.seconds)
        raise Overloaded(
            f"{len(self._queue)} utterances wait to be recognised; try again later, or another replica",
            retry_after=min(max(_MIN_RETRY_SECONDS, wait), _MAX_RETRY_SECONDS),
        )

    def _settled(self, stream: Stream, job: Job) -> None:
        stream.jobs.discard(job)
        self._count(-1, -job.seconds)
        if not job.result.cancelled():
            # Looked at, since a stream that failed at one utterance looks at none of the others.
            job.result.exception()
        elif self._queue.discard(job):
            self._queue_changed()

    def _count(self, jobs: int, seconds: float) -> None:
        self._jobs += jobs
        # Sums of floats drift; nothing is nothing.
        self._seconds = self._seconds + seconds if self._jobs else 0.0

    def _queue_changed(self) -> None:
        self._metrics.queued(len(self._queue), self._queue.seconds)
        if len(self._queue) < self._limits.max_queue:
            self._has_room.set()
        else:
            self._has_room.clear()
        self.wake()

    async def _dispatch(self) -> None:
        while True:
            await self._free.acquire()
            task = asyncio.create_task(self._decoder.decode(await self._next()))
            self._decoding.add(task)
            task.add_done_callback(self._decoded)

    def _decoded(self, task: asyncio.Task[None]) -> None:
        self._decoding.discard(task)
        self._free.release()

    async def _next(self) -> Batch:
        """The next batch, once it is time for it."""
        while True:
            await self._until_due()
            jobs = self._queue.take(self._limits.parallel - len(self._decoding))
            self._queue_changed()
            # Who was cancelled a moment ago is still on the way out.
            if wanted := [job for job in jobs if not job.result.cancelled()]:
                return Batch(wanted)

    async def _until_due(self) -> None:
        while (delay := self._delay()) is None or delay > 0:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._news.wait()

    def _delay(self) -> float | None:
        more_may_come = any(not stream.is_complete and stream not in self._queue for stream in self._streams)
        return self._queue.delay(asyncio.get_running_loop().time(), more_may_come=more_may_come)


def _cancel(stream: Stream) -> None:
    for job in stream.jobs:
        job.result.cancel()
