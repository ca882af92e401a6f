"""One call: samples to a worker as fast as it takes them, its responses to the caller as they come."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict

from diarization_service.exchange import Exchange
from diarization_service.telling import Teller
from serving import tracing
from serving.audio import Samples
from serving.times import SAMPLE_RATE, duration, samples_to_duration
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_WAITING,
    DiarizationCompleted,
    DiarizationProgress,
    DiarizeResponse,
)

# How often a caller hears how much of the upload has been received, in seconds.
_RECEIVED_INTERVAL = 0.5


class Call:
    """Keeps account of what was received and what it took. A caller who does not read slows its own upload down."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._started = time.monotonic()
        self._told = self._started
        self._samples = 0
        self._progress = DiarizationProgress(step=DIARIZATION_STEP_WAITING)

    async def tell_received(self) -> None:
        """How much audio came, and how far it is computed."""
        self._told = time.monotonic()
        self._progress.received.CopyFrom(samples_to_duration(self._samples))
        told = DiarizationProgress()
        told.CopyFrom(self._progress)
        await self._teller.tell(DiarizeResponse(progress=told))

    async def run(self, blocks: AsyncIterator[Samples], exchange: Exchange) -> DiarizationCompleted:
        """The totals, which are the caller's still to send. Raises an ExceptionGroup of whatever blocks, worker or caller raise."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(blocks, exchange))
            completed = await self._answer(exchange)
        for stage, times in exchange.times.stages.items():
            tracing.over(stage, **asdict(times))
        wall = time.monotonic() - self._started
        completed.timing.wall_duration.CopyFrom(duration(wall))
        completed.timing.real_time_factor = wall * SAMPLE_RATE / self._samples if self._samples else 0.0
        return completed

    async def _send(self, blocks: AsyncIterator[Samples], exchange: Exchange) -> None:
        async for block in blocks:
            await exchange.send(block.tobytes())
            self._samples += len(block)
            if time.monotonic() - self._told >= _RECEIVED_INTERVAL:
                await self.tell_received()
        await exchange.end()
        await self.tell_received()

    async def _answer(self, exchange: Exchange) -> DiarizationCompleted:
        """Passes everything on but the totals, which come last."""
        completed = DiarizationCompleted()
        async for response in exchange.responses():
            if response.HasField("completed"):
                completed = response.completed
            elif response.HasField("progress"):
                self._progress.step = response.progress.step
                self._progress.fraction = response.progress.fraction
                await self.tell_received()
            else:
                await self._teller.say(response)
        return completed
