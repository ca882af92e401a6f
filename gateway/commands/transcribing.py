"""From FILE arguments to an exit code: find the recordings, find or start a gateway, send them."""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console

from gateway.commands.batch import Batch, Job, tell
from gateway.commands.reaching import Reaching
from gateway.commands.recordings import find_recording
from gateway.commands.running import run
from gateway.commands.wish import Wish
from gateway.embedded import embedded_services, missing_models
from serving.errors import ModelUnavailable
from serving.models.commands import Bars, Lines
from serving.models.store import ModelStore

# Whoever waits for the prompt waits no longer; by then the services have nothing left to finish.
_GRACE_SECONDS = 3.0
# What services write is shown when one of them dies, so only what explains it is worth keeping.
_FLAGS = ("--log-level", "warning", "--log-format", "console")


def transcribe_files(
    files: Sequence[str],
    outputs: Sequence[Path | None],
    wish: Wish,
    server: str | None,
    reaching: Reaching,
    asr_engine: str | None,
) -> int:
    """The exit code. A gateway is started for these recordings where no `server` is named, with `asr_engine` if one is."""
    jobs = _jobs(files, outputs)
    if not jobs:
        return 1
    batch = Batch(wish, jobs, _terminal(), several=len(files) > 1)
    if server is not None:
        code = run(_through(server, reaching, batch))
    else:
        code = run(_embedded(batch, asr_engine)) if _pull_missing_models() else 1
    return code or int(len(jobs) < len(files))


def _jobs(files: Sequence[str], outputs: Sequence[Path | None]) -> list[Job]:
    """Those that are there; of each other one the user is told."""
    jobs = []
    for argument, output in zip(files, outputs, strict=True):
        try:
            jobs.append(Job(find_recording(argument), output))
        except OSError as error:
            tell(argument, error.strerror or str(error))
    return jobs


def _terminal() -> Console | None:
    """Standard error, where it is a terminal that can be drawn on."""
    console = Console(stderr=True)
    return console if console.is_terminal and not console.is_dumb_terminal else None


async def _through(server: str, reaching: Reaching, batch: Batch) -> int:
    async with reaching.client(server) as client:
        return int(await batch.run(client) > 0)


async def _embedded(batch: Batch, asr_engine: str | None) -> int:
    console = _terminal()
    asr_flags = ("--engine", asr_engine) if asr_engine else ()
    starting = console.status("starting the services") if console else nullcontext()
    with starting as status:
        async with embedded_services(
            sink=_ignore, grace_seconds=_GRACE_SECONDS, flags=_FLAGS, asr_flags=asr_flags
        ) as services:
            if status:
                status.stop()
            return await services.while_alive(_through(services.addresses["gateway"], Reaching(), batch))


def _ignore(_written: bytes) -> None:
    """The supervisor keeps the last lines, to explain a death; nothing else is worth showing."""


def _pull_missing_models() -> bool:
    """Whether all are there now; of what is missing, and why, the user is told."""
    store = ModelStore()
    missing = missing_models(store, os.environ)
    if not missing:
        return True
    try:
        with Bars() if sys.stderr.isatty() else nullcontext(Lines()) as progress:
            store.pull(missing, progress)
    except ModelUnavailable as error:
        click.echo(f"duoscribe: {error.message}", err=True)
        return False
    return True
