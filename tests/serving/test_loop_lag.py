import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from serving.loop_lag import lags, loop_lag_told
from support.waiting import until

LAG = "duoscribe_event_loop_lag_seconds"


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (-0.001, [0.0]),
        (0.0, [0.0]),
        (0.04, [0.04]),
        (0.125, [0.125, 0.075, 0.025]),
    ],
)
def test_a_wait_counts_for_every_timer_that_it_hid(late, told):
    assert lags(late, 0.05) == pytest.approx(told)


async def test_a_loop_that_was_held_up_shows():
    registry = CollectorRegistry()
    async with loop_lag_told(registry):
        await until(lambda: registry.get_sample_value(f"{LAG}_count"))
        time.sleep(0.6)  # noqa: ASYNC251 - what must not happen
        await until(lambda: slower_than(registry, "0.5"))


async def test_sampling_ends_with_the_context():
    registry = CollectorRegistry()
    before = asyncio.all_tasks()
    async with loop_lag_told(registry):
        assert len(asyncio.all_tasks() - before) == 1
    await until(lambda: asyncio.all_tasks() == before)


def slower_than(registry, seconds):
    fast = registry.get_sample_value(f"{LAG}_bucket", {"le": seconds})
    return registry.get_sample_value(f"{LAG}_count") - fast
