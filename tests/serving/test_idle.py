"""The clock of idleness: one timer for many waits, and no wait cut that is not too long itself."""

import asyncio

import pytest

from serving.idle import IdleClock


async def test_a_wait_that_takes_too_long_ends_and_the_clock_goes_on():
    clock = IdleClock(0.02)
    for _ in range(2):
        with pytest.raises(TimeoutError), clock:
            await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    with clock:
        await asyncio.sleep(0)


async def test_many_short_waits_are_no_long_one():
    clock = IdleClock(0.25)
    until = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < until:
        with clock:
            await asyncio.sleep(0.001)


async def test_time_between_waits_does_not_count():
    clock = IdleClock(0.1)
    with clock:
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)
    with clock:
        await asyncio.sleep(0)


async def test_who_cancels_the_task_is_not_taken_for_the_clock():
    clock = IdleClock(60)

    async def wait():
        with clock:
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancellation_that_comes_with_the_clocks_own_goes_first():
    clock = IdleClock(0.02)

    async def wait():
        with clock:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asyncio.current_task().cancel()
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(wait())


async def test_other_errors_pass():
    with pytest.raises(ValueError, match="broken"), IdleClock(60):
        raise ValueError("broken")
