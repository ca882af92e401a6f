"""Waiting for what nobody announces."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Returns once it holds, within 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.01)
