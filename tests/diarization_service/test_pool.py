"""Places at workers are taken evenly and refused when there are none; lost workers are replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from diarization_service.metrics import DiarizationMetrics
from diarization_service.pool import WorkerPool
from serving.errors import ModelUnavailable, Overloaded, Unavailable
from support.diarization import FakeWorker
from support.waiting import until


class Spawner:
    """Starts workers, and fails as often as it is told."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.numbers: list[int] = []
        self.failures = 0
        self.error: Exception = Unavailable("no memory left")

    async def __call__(self, number: int) -> FakeWorker:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise self.error
        self.numbers.append(number)
        self.made.append(FakeWorker())
        return self.made[-1]


def pool_of(spawner: Spawner, size: int = 1, recordings: int = 1) -> WorkerPool:
    return WorkerPool(spawner, DiarizationMetrics(CollectorRegistry()), size=size, recordings=recordings)


@asynccontextmanager
async def started(spawner: Spawner, size: int = 1, recordings: int = 1) -> AsyncIterator[WorkerPool]:
    pool = pool_of(spawner, size, recordings)
    await pool.start()
    yield pool
    await pool.close()


async def test_recordings_go_to_the_worker_that_has_fewest() -> None:
    async with started(Spawner(), size=3, recordings=2) as pool:
        with ExitStack() as places:
            numbers = [places.enter_context(pool.place()).number for _ in range(6)]
        assert sorted(numbers[:3]) == sorted(numbers[3:]) == [0, 1, 2]


async def test_a_place_that_was_left_is_the_next_one_taken() -> None:
    async with started(Spawner(), size=3) as pool:
        with pool.place(), ExitStack() as second:
            left = second.enter_context(pool.place()).number
            with pool.place():
                second.close()
                with pool.place() as again:
                    assert again.number == left


async def test_a_full_house_is_told_at_once_and_when_to_try_again() -> None:
    async with started(Spawner(), size=2, recordings=2) as pool, _full(pool, 4):
        with pytest.raises(Overloaded, match="all 4 places") as refusal, pool.place():
            pass
        assert refusal.value.retry_after > 0


@asynccontextmanager
async def _full(pool: WorkerPool, places: int) -> AsyncIterator[None]:
    with ExitStack() as taken:
        for _ in range(places):
            taken.enter_context(pool.place())
        yield


async def test_a_lost_worker_is_replaced_at_once_in_its_place() -> None:
    spawner = Spawner()
    async with started(spawner, size=2) as pool:
        spawner.made[1].lose()
        await until(lambda: len(spawner.made) == 3)
        assert spawner.numbers == [0, 1, 1]
        with pool.place() as first, pool.place() as second:
            assert {id(await slot.worker()) for slot in (first, second)} == {
                id(spawner.made[0]),
                id(spawner.made[2]),
            }


async def test_while_a_worker_is_replaced_recordings_go_to_the_others_and_wait_where_there_are_none() -> None:
    spawner = Spawner()
    async with started(spawner, size=2, recordings=2) as pool:
        spawner.made[0].lose()
        with pool.place() as first, pool.place() as second, pool.place() as third:
            assert [first.number, second.number, third.number] == [1, 1, 0]
            assert (await third.worker()).usable


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("no memory left"),
        ModelUnavailable("no memory left for weights"),
        BlockingIOError("no memory left"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_where_none_can_be_had_the_recording_is_told_and_the_next_one_tries_again(
    error: Exception,
) -> None:
    spawner = Spawner()
    spawner.error = error
    async with started(spawner) as pool:
        spawner.failures = 2  # in the background, then for the next recording
        spawner.made[0].lose()
        await until(lambda: spawner.failures == 1)
        with pool.place() as slot:
            with pytest.raises(type(error), match="no memory left"):
                await slot.worker()
            assert await slot.worker() is spawner.made[1]


async def test_who_stops_waiting_for_a_replacement_leaves_it_to_the_others() -> None:
    spawner = Spawner()
    async with started(spawner, recordings=2) as pool:
        spawner.made[0].lose()
        with pool.place() as slot:
            impatient = asyncio.create_task(slot.worker())
            patient = asyncio.create_task(slot.worker())
            await asyncio.sleep(0)
            impatient.cancel()
            assert await patient is spawner.made[1]


async def test_a_pool_whose_worker_does_not_come_up_does_not_start() -> None:
    spawner = Spawner()
    spawner.failures = 1
    pool = pool_of(spawner, size=2)
    with pytest.raises(Unavailable):
        await pool.start()
    await pool.close()
    assert not any(worker.usable for worker in spawner.made)


async def test_closing_ends_workers_that_are_at_work() -> None:
    spawner = Spawner()
    pool = pool_of(spawner, size=2)
    await pool.start()
    with pool.place():
        await pool.close()
        assert not any(worker.usable for worker in spawner.made)
    await pool.close()
