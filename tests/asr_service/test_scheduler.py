"""One engine for all streams: fair turns, batches, bounded queues, cancelled work gone at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from asr_service.engines.base import NEVER, Recognition, Speech, Stop, Token
from asr_service.jobs import Decoded
from asr_service.metrics import AsrMetrics
from asr_service.scheduler import Limits, Scheduler, Stream
from serving.errors import Overloaded
from support.recognition import INFO, FakeEngine
from support.waiting import until

LIMITS = Limits(parallel=1, backlog=100, max_batch=1, max_delay=0.0, max_queue=1000)


def numbered(number: int) -> Speech:
    return Speech(np.full(1600, number, np.float32))


def number(speech: Speech) -> int:
    return int(speech.samples[0])


def echo(speech: Speech) -> Recognition:
    if number(speech) < 0:
        raise ArithmeticError("the engine broke")
    return Recognition((Token(str(number(speech)).encode()),))


def said(decoded: Decoded) -> int:
    return int(decoded.recognition.tokens[0].text)


@dataclass
class Bench:
    """A scheduler whose engine waits for `gate`, if it was given one."""

    scheduler: Scheduler
    engine: FakeEngine
    registry: CollectorRegistry
    gate: threading.Event

    def stream(self) -> Any:
        return self.scheduler.stream()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"duoscribe_asr_{name}", labels)

    @property
    def batches(self) -> list[list[int]]:
        return [[number(speech) for speech in batch] for batch in self.engine.batches]

    @property
    def order(self) -> list[int]:
        return [number(speech) for speech in self.engine.asked]

    async def engine_started(self) -> None:
        assert await asyncio.to_thread(self.engine.started.acquire, timeout=5)

    async def engine_stopped(self) -> None:
        assert await asyncio.to_thread(self.engine.stopped.acquire, timeout=5)


@asynccontextmanager
async def scheduling(
    *,
    engine: type[FakeEngine] = FakeEngine,
    gated: bool = False,
    bucket: Callable[[Speech], int] = lambda _: 0,
    padded: Callable[[Speech], float] = lambda _: 0.2,
    **limits: Any,
) -> AsyncIterator[Bench]:
    gate, registry = threading.Event(), CollectorRegistry()
    made = engine(echo, info=INFO, gate=gate if gated else None, bucket=bucket, padded=padded)
    scheduler = Scheduler(made, replace(LIMITS, **limits), AsrMetrics(registry))
    scheduler.start()
    try:
        yield Bench(scheduler, made, registry, gate)
    finally:
        await scheduler.close()
        gate.set()


async def submit_all(stream: Stream, numbers: Sequence[int]) -> "list[asyncio.Future[Decoded]]":
    return [await stream.submit(numbered(number)) for number in numbers]


async def held_back(work: "asyncio.Future[Any]") -> bool:
    await asyncio.sleep(0.05)
    return not work.done()


@pytest.mark.parametrize("max_batch", [1, 4])
async def test_answers_belong_to_their_utterances(max_batch: int) -> None:
    async with scheduling(parallel=3, max_batch=max_batch) as bench, bench.stream() as stream:
        futures = await submit_all(stream, range(20))
        assert [said(await future) for future in futures] == list(range(20))


async def test_a_long_file_does_not_starve_a_short_one() -> None:
    async with scheduling(gated=True) as bench, bench.stream() as long, bench.stream() as short:
        await submit_all(long, range(50))
        await bench.engine_started()
        futures = await submit_all(short, [100, 101, 102])
        bench.gate.set()
        await asyncio.gather(*futures)
        assert bench.order[:7] == [0, 1, 100, 2, 101, 3, 102]


async def test_what_gathers_while_the_engine_is_busy_is_decoded_together() -> None:
    async with scheduling(gated=True, max_batch=4) as bench, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(bench.stream()) for _ in range(3)]
        first = await submit_all(streams[0], [0])
        await bench.engine_started()
        futures = [
            future for n, s in enumerate(streams) for future in await submit_all(s, [n * 10 + 1, n * 10 + 2])
        ]
        bench.gate.set()
        await asyncio.gather(*first, *futures)
        assert bench.batches == [[0], [1, 11, 21, 2], [12, 22]]


async def test_only_one_bucket_is_decoded_together() -> None:
    async with (
        scheduling(gated=True, max_batch=4, bucket=lambda speech: number(speech) % 2) as bench,
        bench.stream() as stream,
    ):
        futures = await submit_all(stream, [0])
        await bench.engine_started()
        futures += await submit_all(stream, [1, 3, 2, 4, 6])
        bench.gate.set()
        await asyncio.gather(*futures)
        assert bench.batches == [[0], [1, 3], [2, 4, 6]]


async def test_while_idle_an_utterance_waits_for_company() -> None:
    async with (
        scheduling(max_batch=2, max_delay=60.0) as bench,
        bench.stream() as one,
        bench.stream() as other,
    ):
        futures = await submit_all(one, [1])
        await asyncio.sleep(0.05)
        assert bench.batches == [], "the other stream may bring something"
        futures += await submit_all(other, [2])
        await asyncio.gather(*futures)
        assert bench.batches == [[1, 2]]


async def test_an_utterance_waits_no_longer_than_allowed() -> None:
    async with scheduling(max_batch=2, max_delay=0.02) as bench, bench.stream() as one, bench.stream():
        (future,) = await submit_all(one, [1])
        assert said(await asyncio.wait_for(future, 5)) == 1


async def test_nobody_waits_for_a_stream_that_is_complete_or_gone() -> None:
    async with scheduling(max_batch=4, max_delay=60.0) as bench, bench.stream() as one:
        async with bench.stream() as complete, bench.stream():
            futures = await submit_all(one, [1])
            complete.complete()
            assert await held_back(futures[0])
        assert said(await asyncio.wait_for(futures[0], 5)) == 1


async def test_a_stream_alone_does_not_wait() -> None:
    async with scheduling(max_batch=4, max_delay=60.0) as bench, bench.stream() as stream:
        (future,) = await submit_all(stream, [1])
        assert said(await asyncio.wait_for(future, 5)) == 1


async def test_free_threads_share_what_waits() -> None:
    async with scheduling(parallel=2, max_batch=8, gated=True) as bench, bench.stream() as stream:
        await submit_all(stream, range(6))
        for _ in range(2):
            await bench.engine_started()
        assert [len(batch) for batch in bench.batches] == [3, 3]


async def test_a_full_backlog_waits_until_something_was_delivered() -> None:
    async with scheduling(backlog=2) as bench, bench.stream() as stream:
        futures = await submit_all(stream, [0, 1])
        await asyncio.gather(*futures)
        third = asyncio.create_task(stream.submit(numbered(2)))
        assert await held_back(third), "decoded, but the caller has not read it yet"
        stream.delivered()
        assert said(await (await third)) == 2


async def test_a_full_queue_holds_streams_back_but_each_may_queue_one() -> None:
    async with scheduling(gated=True, max_queue=2) as bench, bench.stream() as one, bench.stream() as other:
        futures = await submit_all(one, [0])
        await bench.engine_started()
        futures += await submit_all(one, [1, 2])
        futures += await submit_all(other, [10])
        waiting = [asyncio.create_task(stream.submit(numbered(3))) for stream in (one, other)]
        assert all([await held_back(task) for task in waiting])
        bench.gate.set()
        futures += await asyncio.gather(*waiting)
        assert sorted([said(await future) for future in futures]) == [0, 1, 2, 3, 3, 10]


async def test_a_full_queue_refuses_new_streams_and_says_when_to_come_back() -> None:
    async with scheduling(gated=True, max_queue=1) as bench, bench.stream() as stream:
        futures = await submit_all(stream, [0])
        await bench.engine_started()
        futures += await submit_all(stream, [1])
        with pytest.raises(Overloaded) as refused:
            async with bench.stream():
                pytest.fail("it was let in")
        assert refused.value.retry_after == 1.0
        assert bench.metric("refused_recordings_total") == 1
        bench.gate.set()
        await asyncio.gather(*futures)
        async with bench.stream():
            pass


async def test_the_wait_is_not_known_before_anything_was_decoded() -> None:
    async with scheduling(gated=True) as bench, bench.stream() as stream:
        futures = await submit_all(stream, [0, 1])
        assert bench.scheduler.wait() == 0.0
        bench.gate.set()
        await asyncio.gather(*futures)


async def test_the_wait_is_the_audio_in_flight_over_the_speed() -> None:
    async with scheduling(gated=True) as bench, bench.stream() as stream:
        (first,) = await submit_all(stream, [0])
        await bench.engine_started()
        bench.gate.set()
        took = (await first).seconds
        bench.gate.clear()
        futures = await submit_all(stream, [1, 2, 3])
        await bench.engine_started()
        assert bench.scheduler.wait() == pytest.approx(3 * took, rel=0.01)
        futures.pop().cancel()
        await asyncio.sleep(0)
        assert bench.scheduler.wait() == pytest.approx(2 * took, rel=0.01)
        bench.gate.set()
        await asyncio.gather(*futures)
        await until(lambda: bench.scheduler.wait() == 0.0)


async def test_work_of_a_stream_that_left_is_not_done() -> None:
    async with scheduling(gated=True) as bench, bench.stream() as staying:
        async with bench.stream() as leaving:
            left = await submit_all(leaving, [0, 1, 2])
            await bench.engine_started()
            assert bench.metric("queue_utterances") == 2
        kept = await submit_all(staying, [10])
        await asyncio.sleep(0)
        assert bench.metric("queue_utterances") == 1
        bench.gate.set()
        assert said(await kept[0]) == 10
        assert bench.order == [0, 10]
        assert all(future.cancelled() for future in left)


async def test_a_batch_that_nobody_waits_for_is_stopped() -> None:
    async with scheduling(gated=True, max_batch=2) as bench, bench.stream() as staying:
        async with bench.stream() as one, bench.stream() as other:
            await submit_all(one, [0])
            await submit_all(other, [1])
            await bench.engine_started()
        await bench.engine_stopped()
        assert bench.batches == [[0, 1]]
        bench.gate.set()
        (kept,) = await submit_all(staying, [2])
        assert said(await kept) == 2
        assert bench.metric("stopped_batches_total") == 1


async def test_a_batch_goes_on_for_those_who_stay() -> None:
    async with scheduling(gated=True, max_batch=2) as bench, bench.stream() as staying:
        (kept,) = await submit_all(staying, [0])
        async with bench.stream() as leaving:
            await submit_all(leaving, [1])
            await bench.engine_started()
        bench.gate.set()
        assert said(await kept) == 0
        assert bench.batches == [[0, 1]]
        assert bench.metric("stopped_batches_total") == 0


async def test_closing_stops_what_runs() -> None:
    async with scheduling(gated=True) as bench, bench.stream() as stream:
        (future,) = await submit_all(stream, [0])
        await bench.engine_started()
        await bench.scheduler.close()
        await bench.engine_stopped()
        assert future.cancelled()


@pytest.mark.parametrize("max_batch", [1, 4])
async def test_a_failing_utterance_does_not_fail_the_others(max_batch: int) -> None:
    async with scheduling(max_batch=max_batch) as bench, bench.stream() as stream:
        good, broken, whole = await submit_all(stream, [1, -1, 2])
        with pytest.raises(ArithmeticError):
            await broken
        assert [said(await good), said(await whole)] == [1, 2]


async def test_a_cancelled_utterance_is_not_tried_again() -> None:
    async with scheduling(gated=True, max_batch=3) as bench, bench.stream() as stream:
        broken, wanted, cancelled = await submit_all(stream, [-1, 1, 2])
        await bench.engine_started()
        cancelled.cancel()
        bench.gate.set()
        assert said(await wanted) == 1
        assert broken.exception() is not None
        assert bench.batches == [[-1, 1, 2], [-1], [1]]


class ForgetfulEngine(FakeEngine):
    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        return super().recognize(batch, stop)[1:]


async def test_an_engine_that_forgets_an_utterance_is_found_out() -> None:
    async with scheduling(engine=ForgetfulEngine, max_batch=2) as bench, bench.stream() as stream:
        for future in await submit_all(stream, [1, 2]):
            with pytest.raises(ValueError, match="shorter"):
                await asyncio.wait_for(future, 5)


async def test_as_many_decode_at_once_as_configured() -> None:
    async with scheduling(gated=True, parallel=2) as bench, bench.stream() as stream:
        futures = await submit_all(stream, range(4))
        for _ in range(2):
            await bench.engine_started()
        await asyncio.sleep(0.05)
        assert len(bench.order) == 2
        bench.gate.set()
        await asyncio.gather(*futures)
        assert len(bench.order) == 4


async def test_a_batch_s_time_is_shared_by_padded_length() -> None:
    async with scheduling(gated=True, max_batch=2, padded=number) as bench, bench.stream() as stream:
        small, large = await submit_all(stream, [1, 3])
        await bench.engine_started()
        bench.gate.set()
        assert (await large).seconds == pytest.approx(3 * (await small).seconds)
        assert bench.metric("compute_seconds_sum") == pytest.approx(
            small.result().seconds + large.result().seconds
        )


async def test_counts_what_it_did() -> None:
    async with scheduling(gated=True, max_batch=4) as bench, bench.stream() as stream:
        futures = await submit_all(stream, [0])
        await bench.engine_started()
        futures += await submit_all(stream, [1, 2, 3])
        assert bench.metric("queue_utterances") == 3
        assert bench.metric("queue_audio_seconds") == pytest.approx(0.3)
        bench.gate.set()
        await asyncio.gather(*futures)
        assert bench.metric("queue_audio_seconds") == 0
        assert bench.metric("batch_utterances_bucket", le="1.0") == 1
        assert bench.metric("batch_utterances_sum") == 4
        assert bench.metric("queue_wait_seconds_count") == 4
        assert bench.metric("compute_seconds_count") == 2
        assert bench.metric("audio_seconds_total") == pytest.approx(0.4)
        assert bench.metric("padded_audio_seconds_total") == pytest.approx(0.8)
        assert bench.metric("batch_padding_ratio_sum") == pytest.approx(1.0)
        assert bench.metric("failed_batches_total") == 0


@pytest.mark.parametrize("seed", range(5))
async def test_in_any_turmoil_whoever_stays_gets_every_answer(seed: int) -> None:
    """Streams come, submit, fail, cancel and leave at random; nothing is lost, nothing is left behind."""
    random = Random(seed)

    async def recording(bench: Bench, name: int) -> None:
        async with bench.stream() as stream:
            numbers = [name * 100 + index for index in range(1, random.randrange(2, 12))]
            numbers[random.randrange(len(numbers))] *= random.choice([1, 1, -1])
            futures = []
            for asked in numbers:
                futures.append(await stream.submit(numbered(asked)))
                await asyncio.sleep(random.choice([0, 0, 0.002]))
            if random.random() < 0.3:
                return
            for asked, future in zip(numbers, futures, strict=True):
                await asyncio.wait([future])
                stream.delivered()
                assert future.exception() if asked < 0 else said(future.result()) == asked

    limits: dict[str, Any] = {
        "parallel": 2,
        "max_batch": 4,
        "max_delay": 0.001,
        "max_queue": 10,
        "backlog": 20,
    }
    async with scheduling(bucket=lambda speech: number(speech) % 3, **limits) as bench:
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(late(recording(bench, name), random.uniform(0, 0.1)) for name in range(1, 16))
            )
        await asyncio.sleep(0)
        assert bench.metric("queue_utterances") == 0
    assert max(len(batch) for batch in bench.batches) > 1
    assert all(len({number % 3 for number in batch}) == 1 for batch in bench.batches)


async def late(work: Coroutine[Any, Any, None], seconds: float) -> None:
    await asyncio.sleep(seconds)
    with suppress(Overloaded):
        await work
