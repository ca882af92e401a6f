"""What is still computed for a caller who went away, over real sockets: one batch at most, and it is told."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from asr_service.engines.base import NEVER, Recognition, Speech, Stop
from support.recognition import INFO, AsrDoor, FakeEngine, asr_config, asr_door, speech, upload
from support.waiting import until

AFTER = "duoscribe_asr_compute_after_cancel_seconds"
WASTED = "duoscribe_asr_wasted_compute_seconds_total"
GIVEN_UP = "duoscribe_asr_given_up_recordings_total"
# What a thread may wait for a core between two steps.
BUSY_SECONDS = 1.0

# Three utterances and the beginning of a fourth.
TALK = speech((1.0, 2.0), (4.0, 2.0), (4.0, 2.0), (4.0, 2.0))


class DeafEngine(FakeEngine):
    """Heeds no stop: each batch runs until `gate` opens. `took` is the time of each, in seconds."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(info=replace(INFO, max_batch=2))
        self.took: list[float] = []
        self._opened = gate

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        started = time.monotonic()
        recognitions = super().recognize(batch, stop)
        self._opened.wait(10)
        self.took.append(time.monotonic() - started)
        return recognitions


@asynccontextmanager
async def cancelled_at_its_first_batch(door: AsrDoor, engine: FakeEngine) -> AsyncIterator[None]:
    """A recording with more utterances queued behind the batch, whose caller cancels; the service has noticed."""
    call = door.stub.Recognize(upload(TALK))
    assert await asyncio.to_thread(engine.started.acquire, timeout=5)
    await door.queued(2)
    call.cancel()
    await until(lambda: door.metric(GIVEN_UP))
    assert door.metric("duoscribe_asr_queue_utterances") == 0
    yield


async def test_nothing_is_computed_for_who_cancelled_but_the_batch_that_runs() -> None:
    engine = DeafEngine(gate := threading.Event())
    async with asr_door(engine, asr_config(backlog=8)) as door, cancelled_at_its_first_batch(door, engine):
        gate.set()
        await until(lambda: door.metric(f"{AFTER}_count"))
        assert (await door.recognize(speech((0.2, 1.0)))).words
    assert len(engine.batches) == 2
    assert 0 < door.metric(f"{AFTER}_sum") <= engine.took[0] + BUSY_SECONDS
    assert door.metric(f"{AFTER}_count") == len(engine.batches[0])


async def test_an_engine_that_can_be_stopped_does_not_finish_the_batch() -> None:
    engine = FakeEngine(gate=threading.Event())
    async with asr_door(engine, asr_config(backlog=8)) as door, cancelled_at_its_first_batch(door, engine):
        await until(lambda: door.metric("duoscribe_asr_stopped_batches_total"))
    assert door.metric(f"{AFTER}_count") == 1


async def test_who_stays_keeps_the_batch_and_only_the_share_of_who_left_is_waste() -> None:
    engine = FakeEngine(info=replace(INFO, max_batch=2), gate=(gate := threading.Event()))
    config = asr_config(max_batch=2, max_queue_delay_seconds=5.0)
    async with asr_door(engine, config) as door:
        leaving = door.stub.Recognize(upload(speech((0.2, 1.0), (4.0, 0.0)), end=False))
        staying = asyncio.create_task(door.recognize(speech((0.2, 1.0), (4.0, 1.0))))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        leaving.cancel()
        await until(lambda: door.metric(GIVEN_UP))
        gate.set()
        assert len((await staying).utterances) == 2
    assert len(engine.batches[0]) == 2
    assert door.metric(f"{AFTER}_count") == 1
    assert door.metric(WASTED) == pytest.approx(door.metric(f"{AFTER}_sum") / 2, rel=0.2)


async def test_a_recording_that_is_recognised_whole_is_not_given_up() -> None:
    async with asr_door() as door:
        assert (await door.recognize(TALK)).words
    assert door.metric(GIVEN_UP) == 0
    assert door.metric(f"{AFTER}_count") == 0
    assert door.metric("duoscribe_asr_real_time_factor_count") == 1
