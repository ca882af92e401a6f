"""What a session sends, and when, to a caller that does not always read."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
from prometheus_client import CollectorRegistry

from asr_service.listening import Listener
from asr_service.loading import cut_options, scheduling_limits
from asr_service.metrics import AsrMetrics
from asr_service.scheduler import Scheduler
from asr_service.session import Send, Session
from asr_service.utterances import Pcm, UtteranceCutter
from speech.asr.v1 import asr_pb2
from support.recognition import INFO, FakeEngine, asr_config, detector

SILENCE = np.zeros(16_000, np.int16)


class BusyCaller:
    """Takes progress only when it is `free`; notes what was sent and whether a write was broken off."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.got: list[str | None] = []
        self.sent = asyncio.Semaphore(0)
        self.broken_off = False

    async def send(self, response: asr_pb2.RecognizeResponse) -> None:
        if response.HasField("progress"):
            self.asked.set()
            await self._become_free()
        self.got.append(response.WhichOneof("message"))
        self.sent.release()

    async def _become_free(self) -> None:
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.broken_off = True
            raise


@asynccontextmanager
async def session(send: Send) -> AsyncIterator[Session]:
    listener = Listener(detector(), UtteranceCutter(cut_options(asr_config(), INFO)))
    limits = scheduling_limits(asr_config(), INFO)
    scheduler = Scheduler(FakeEngine(), limits, AsrMetrics(CollectorRegistry()))
    scheduler.start()
    with ThreadPoolExecutor(1) as ears:
        async with scheduler.stream() as stream:
            yield Session(INFO, None, listener, stream, ears, send, repeat_seconds=0.5)
        await scheduler.close()


async def test_progress_under_way_is_sent_before_the_end() -> None:
    caller = BusyCaller()

    async def blocks() -> AsyncIterator[Pcm]:
        yield SILENCE
        await caller.asked.wait()
        asyncio.get_running_loop().call_later(0.1, caller.free.set)

    async with asyncio.timeout(10), session(caller.send) as running:
        await running.run(blocks())
    assert not caller.broken_off
    assert caller.got == ["progress", "completed"]


async def test_progress_is_repeated_while_nothing_changes() -> None:
    caller = BusyCaller()
    caller.free.set()

    async def blocks() -> AsyncIterator[Pcm]:
        yield SILENCE
        for _ in range(2):
            await caller.sent.acquire()

    async with asyncio.timeout(10), session(caller.send) as running:
        await running.run(blocks())
    assert caller.got == ["progress", "progress", "completed"]
