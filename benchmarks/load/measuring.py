"""One front under one load."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from benchmarks.load.callers import Generated, Plan, generate
from benchmarks.load.figures import Load, Memory
from benchmarks.load.lag import Lag
from benchmarks.load.stand import Front
from benchmarks.processes import resident_memory, usage, waited_for_core

# Imports and arenas that the first recordings bring are not the load's.
_WARM_UP_CALLERS = 4
# What the last recordings leave is gone after this.
_REST_SECONDS = 2.0


async def under_load(name: str, kind: str, front: Front, plans: Sequence[Plan], callers: Executor) -> Load:
    """Let the plans run in `callers`, each in a process of its own, against the front called `kind`."""
    plans = [replace(plan, address=front.address) for plan in plans]
    warm_up = replace(plans[0], callers=_WARM_UP_CALLERS, interval=0.0, seconds=0.0, ramp=0.0, cancelled=0)
    await _generated([warm_up], callers)
    before = resident_memory(front.pid)
    lag = await _lag(front)
    used, waited, started = usage(front.pid), waited_for_core(front.pid), time.monotonic()
    generated = await _generated(plans, callers)
    wall = time.monotonic() - started
    after, waited_after = usage(front.pid), waited_for_core(front.pid)
    lag_after = await _lag(front)
    await asyncio.sleep(_REST_SECONDS)
    return Load(
        name=name,
        front=kind,
        generated=generated,
        wall=wall,
        cpu=after.cpu_seconds - used.cpu_seconds,
        waited=waited_after - waited,
        lag=lag_after.since(lag) if lag and lag_after else None,
        memory=Memory(before, after.peak_memory_bytes, resident_memory(front.pid)),
    )


async def _generated(plans: Sequence[Plan], callers: Executor) -> Generated:
    return await asyncio.get_running_loop().run_in_executor(callers, generate, plans)


async def _lag(front: Front) -> Lag | None:
    return await asyncio.to_thread(Lag.told_at, front.metrics) if front.metrics else None
