"""How long work waits for the event loop: a timer's lateness."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Histogram

_INTERVAL_SECONDS = 0.05
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


@asynccontextmanager
async def loop_lag_told(registry: CollectorRegistry) -> AsyncIterator[None]:
    """While the context lasts, the running event loop's lag goes to `registry`."""
    lag = Histogram(
        "duoscribe_event_loop_lag_seconds",
        "How long work that was ready waited for the event loop.",
        buckets=_SECONDS,
        registry=registry,
    )
    sampling = asyncio.create_task(_sample(lag))
    try:
        yield
    finally:
        sampling.cancel()


async def _sample(lag: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL_SECONDS
        await asyncio.sleep(_INTERVAL_SECONDS)
        for late in lags(loop.time() - due, _INTERVAL_SECONDS):
            lag.observe(late)


def lags(late: float, interval: float) -> list[float]:
    """The waits, in seconds, of all timers of this interval that one wait hid: `late` itself is the longest.

    Without them a second of standing still would weigh as much as 50 ms of running well, which Gil Tene named
    coordinated omission.
    """
    hidden = max(0, int(late / interval))
    return [max(0.0, late - missed * interval) for missed in range(hidden + 1)]
