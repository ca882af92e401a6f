"""Workers are lent in turn, come back, and are replaced when they do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from diarization_service.pool import WorkerPool
from serving.errors import ModelUnavailable, Unavailable
from support.diarization import FakeWorker


class Spawner:
    """Starts workers, and fails as often as it is told."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.failures = 0
        self.error: Exception = Unavailable("no memory left")

    async def __call__(self) -> FakeWorker:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise self.error
        self.made.append(FakeWorker())
        return self.made[-1]


@asynccontextmanager
async def started(spawner: Spawner, size: int = 1) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(spawner, size=size, cancel_grace_seconds=0.5)
    await pool.start()
    yield pool
    await pool.close()


async def test_recordings_are_served_first_come_first_served() -> None:
    served = list[int]()

    async def use(pool: WorkerPool, number: int) -> None:
        async with pool.worker():
            served.append(number)
            await asyncio.sleep(0.001)

    async with started(Spawner()) as pool:
        await asyncio.gather(*(use(pool, number) for number in range(20)))
    assert served == list(range(20))


async def test_no_more_recordings_at_once_than_workers_and_no_fewer() -> None:
    busy = 0
    peak = 0

    async def use(pool: WorkerPool) -> None:
        nonlocal busy, peak
        async with pool.worker():
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0.005)
            busy -= 1

    async with started(Spawner(), size=3) as pool:
        await asyncio.gather(*(use(pool) for _ in range(12)))
    assert peak == 3


async def test_who_stops_waiting_takes_no_worker_away() -> None:
    async with started(Spawner()) as pool:
        async with pool.worker():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), pool.worker():
                    pass
        async with asyncio.timeout(1), pool.worker() as worker:
            assert worker.usable


async def test_a_worker_is_settled_after_every_recording_even_a_failed_one() -> None:
    spawner = Spawner()
    async with started(spawner) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.worker():
                raise ZeroDivisionError
        async with pool.worker():
            pass
        async with pool.worker():
            assert spawner.made[0].settled.qsize() == 2
            assert spawner.made[0].settled.get_nowait() == 0.5


async def test_a_lost_worker_is_replaced_and_closed() -> None:
    spawner = Spawner()
    async with started(spawner) as pool:
        async with pool.worker():
            spawner.made[0].usable = False
        async with pool.worker() as worker:
            assert worker is spawner.made[1]
        assert spawner.made[0].closed
    assert len(spawner.made) == 2


async def test_a_worker_that_was_lost_while_idle_is_replaced_when_it_is_needed() -> None:
    spawner = Spawner()
    async with started(spawner) as pool:
        spawner.made[0].usable = False
        async with pool.worker() as worker:
            assert worker is spawner.made[1]


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
        async with pool.worker():
            spawner.made[0].usable = False
            spawner.failures = 2  # in the background, then for the next recording
        with pytest.raises(type(error), match="no memory left"):
            async with asyncio.timeout(5), pool.worker():
                pass
        async with asyncio.timeout(5), pool.worker() as worker:
            assert worker is spawner.made[1]


async def test_a_pool_whose_worker_does_not_come_up_does_not_start() -> None:
    spawner = Spawner()
    spawner.failures = 1
    pool = WorkerPool(spawner, size=2)
    with pytest.raises(Unavailable):
        await pool.start()
    await pool.close()
    assert all(worker.closed for worker in spawner.made)


async def test_closing_ends_workers_that_are_lent() -> None:
    spawner = Spawner()
    pool = WorkerPool(spawner, size=2)
    await pool.start()
    async with pool.worker():
        await pool.close()
        assert all(worker.closed for worker in spawner.made)
    await pool.close()
