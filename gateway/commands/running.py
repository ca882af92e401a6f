"""Commands that run on an event loop, and how they end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import click

from gateway.supervisor import ServiceDied

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def run(command: Coroutine[Any, Any, int]) -> int:
    """The command's exit code. Ctrl-C, SIGTERM and a closed terminal cancel it, so that it can clean up."""
    try:
        return asyncio.run(_cancellable(command))
    except KeyboardInterrupt:
        click.echo("duoscribe: interrupted", err=True)
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except ServiceDied as error:
        click.echo(f"duoscribe: {error.message}", err=True)
        return 1


async def _cancellable(command: Coroutine[Any, Any, int]) -> int:
    task = asyncio.create_task(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    finally:
        task.cancel()
        await asyncio.wait({task})
