"""Turns: in order, a few in each round of the event loop, and none lost with who went away."""

import asyncio
from collections import Counter

from gateway.turns import Turns


async def test_a_few_get_a_turn_in_each_round_in_the_order_of_asking():
    turns, rounds, order = Turns(), 0, []

    def count():
        nonlocal rounds
        rounds += 1
        counting = loop.call_soon(count)
        if len(order) == 20:
            counting.cancel()

    async def work(number):
        await turns.take()
        order.append((number, rounds))

    loop = asyncio.get_running_loop()
    loop.call_soon(count)
    await asyncio.gather(*(work(number) for number in range(20)))
    assert [number for number, _ in order] == list(range(20))
    assert max(Counter(taken for _, taken in order).values()) == 4


async def test_who_goes_away_holds_nobody_up():
    turns = Turns()
    waiting = [asyncio.create_task(turns.take()) for _ in range(9)]
    await asyncio.sleep(0)
    for task in waiting[:8]:
        task.cancel()
    await waiting[8]
    await turns.take()
