"""All three services in the foreground."""

import asyncio
import json
import signal
import sys

import click

from gateway.commands.running import run
from gateway.embedded import embedded_services
from gateway.supervisor import ServiceDied, Services

# Each service has its own deadline for running recordings; this one is only for a service that hangs.
_GRACE_SECONDS = 24 * 3600.0


def serve_until_signalled(address: str) -> int:
    """The exit code: 0 after a signal, 1 when a service died."""
    return run(_serve(address))


async def _serve(address: str) -> int:
    asked_to_stop = _watch_signals()
    try:
        async with embedded_services(
            gateway_address=address, sink=_forward, grace_seconds=_GRACE_SECONDS, flags=_log_flags()
        ) as services:
            _announce(services)
            await services.while_alive(asked_to_stop.wait())
    except ServiceDied as error:
        # Its last lines were forwarded as it wrote them.
        click.echo(f"duoscribe: {error.summary}", err=True)
        return 1
    return 0


def _announce(services: Services) -> None:
    click.echo(json.dumps({"address": services.addresses["gateway"]}))


def _forward(written: bytes) -> None:
    sys.stderr.buffer.write(written)
    sys.stderr.buffer.flush()


def _log_flags() -> tuple[str, ...]:
    """The services write to a pipe, so it is here that a terminal can be seen."""
    return ("--log-format", "console") if sys.stderr.isatty() else ()


def _watch_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second one cancels the command, which kills the services."""
    signalled = asyncio.Event()
    command = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if signalled.is_set() and command is not None:
            command.cancel()
        signalled.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return signalled
