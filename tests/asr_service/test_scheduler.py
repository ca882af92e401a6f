"""One engine for all streams: fair turns, bounded backlogs, cancelled work gone at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest

from asr_service.engines.base import Recognition, Speech, Token
from asr_service.scheduler import Decoded, Scheduler, Stream
from support.recognition import FakeEngine


def numbered(number: int) -> Speech:
    return Speech(np.full(4, number, np.float32))


def number(speech: Speech) -> int:
    return int(speech.samples[0])


def echo(speech: Speech) -> Recognition:
    if number(speech) < 0:
        raise ArithmeticError("the engine broke")
    return Recognition((Token(str(number(speech)).encode()),))


def said(decoded: Decoded) -> int:
    return int(decoded.recognition.tokens[0].text)


@asynccontextmanager
async def scheduling(
    engine: FakeEngine, *, parallel: int = 1, backlog: int = 100
) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(engine, parallel=parallel, backlog=backlog)
    scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.close()


async def submit_all(stream: Stream, numbers: Sequence[int]) -> "list[asyncio.Future[Decoded]]":
    return [await stream.submit(numbered(number)) for number in numbers]


async def test_answers_belong_to_their_utterances() -> None:
    async with scheduling(FakeEngine(echo), parallel=3) as scheduler, scheduler.stream() as stream:
        futures = await submit_all(stream, range(20))
        assert [said(await future) for future in futures] == list(range(20))


async def test_a_long_file_does_not_starve_a_short_one() -> None:
    engine = FakeEngine(echo, gate=(gate := threading.Event()))
    async with scheduling(engine) as scheduler, scheduler.stream() as long, scheduler.stream() as short:
        await submit_all(long, range(50))
        futures = await submit_all(short, [100, 101, 102])
        gate.set()
        await asyncio.gather(*futures)
        order = [number(speech) for speech in engine.asked]
    assert order[:6] == [0, 100, 1, 101, 2, 102] or order[:7] == [0, 1, 100, 2, 101, 3, 102]


async def test_many_streams_take_turns() -> None:
    engine = FakeEngine(echo, gate=(gate := threading.Event()))
    async with scheduling(engine) as scheduler, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(scheduler.stream()) for _ in range(3)]
        everything = [await submit_all(s, [n * 10, n * 10 + 1]) for n, s in enumerate(streams)]
        gate.set()
        await asyncio.gather(*(future for futures in everything for future in futures))
    order = [number(speech) for speech in engine.asked]
    assert sorted(order[:3]) == [0, 10, 20]


async def test_a_full_backlog_waits_until_something_was_delivered() -> None:
    async with scheduling(FakeEngine(echo), backlog=2) as scheduler, scheduler.stream() as stream:
        futures = await submit_all(stream, [0, 1])
        await asyncio.gather(*futures)
        third = asyncio.create_task(stream.submit(numbered(2)))
        await asyncio.sleep(0.05)
        assert not third.done(), "decoded, but the caller has not read it yet"
        stream.delivered()
        assert said(await (await third)) == 2


async def test_work_of_a_stream_that_left_is_not_done() -> None:
    engine = FakeEngine(echo, gate=(gate := threading.Event()))
    async with scheduling(engine) as scheduler, scheduler.stream() as staying:
        async with scheduler.stream() as leaving:
            left = await submit_all(leaving, [0, 1, 2])
            await asyncio.to_thread(engine.started.acquire)
        kept = await submit_all(staying, [10])
        gate.set()
        assert said(await kept[0]) == 10
        assert [number(speech) for speech in engine.asked] == [0, 10]
        assert left[1].cancelled()
        assert left[2].cancelled()


async def test_a_failing_utterance_does_not_stop_the_others() -> None:
    async with scheduling(FakeEngine(echo)) as scheduler, scheduler.stream() as stream:
        broken, whole = await submit_all(stream, [-1, 1])
        with pytest.raises(ArithmeticError):
            await broken
        assert said(await whole) == 1


async def test_as_many_decode_at_once_as_configured() -> None:
    engine = FakeEngine(echo, gate=(gate := threading.Event()))
    async with scheduling(engine, parallel=2) as scheduler, scheduler.stream() as stream:
        futures = await submit_all(stream, range(4))
        for _ in range(2):
            assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        await asyncio.sleep(0.05)
        assert len(engine.asked) == 2
        gate.set()
        await asyncio.gather(*futures)
        assert len(engine.asked) == 4
