"""Turns: in order, one in every second round of the event loop, and none lost with who went away."""

import asyncio
from itertools import pairwise

from gateway.turns import Turns


async def test_turns_are_given_in_the_order_of_asking_and_leave_rounds_for_others():
    turns, rounds, given = Turns(), 0, []
    loop = asyncio.get_running_loop()

    def count():
        nonlocal rounds
        rounds += 1
        if len(given) < 20:
            loop.call_soon(count)

    async def work(number):
        await turns.take()
        given.append((number, rounds))

    loop.call_soon(count)
    await asyncio.gather(*(work(number) for number in range(20)))
    assert [number for number, _ in given] == list(range(20))
    assert all(later - earlier == 2 for (_, earlier), (_, later) in pairwise(given))


async def test_who_goes_away_holds_nobody_up():
    turns = Turns()
    waiting = [asyncio.create_task(turns.take()) for _ in range(9)]
    await asyncio.sleep(0)
    for task in waiting[:8]:
        task.cancel()
    await waiting[8]
    await turns.take()
