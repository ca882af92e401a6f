"""Recordings, one after the other, through one gateway."""

import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from gateway.client import TranscriptionClient, TranscriptionError
from gateway.commands.display import View, shown, stage_failures
from gateway.commands.failures import explain
from gateway.commands.outputs import write_atomically
from gateway.commands.recordings import Recording
from gateway.commands.wish import Wish
from gateway.connecting import UnusableToken
from gateway.rendering import OutputFormat, render
from gateway.rendering.document import render_json_line
from gateway.rendering.text import segment_line
from gateway.transcript import Transcript
from speech.gateway.v1 import gateway_pb2


@dataclass(frozen=True, slots=True)
class Job:
    """A recording, and where its transcript goes; None is standard output."""

    recording: Recording
    output: Path | None


class JobFailed(Exception):  # noqa: N818 - named after what happened
    """A recording was not transcribed; the message says why, and who must act."""


class Batch:
    """Transcribes jobs; one that fails is told of and does not keep the others. `console` is None if nobody watches."""

    def __init__(self, wish: Wish, jobs: Sequence[Job], console: Console | None, *, several: bool) -> None:
        self._wish = wish
        self._jobs = jobs
        self._console = console
        # Without anybody to watch them change, segments are of use once they are final.
        self._final_only = wish.final_only or console is None
        self._several = several

    async def run(self, client: TranscriptionClient) -> int:
        """Returns how many failed. Raises BrokenPipeError once nobody reads standard output, which click ends quietly."""
        failures = 0
        for job in self._jobs:
            try:
                await self._transcribe(client, job)
            except (JobFailed, OSError) as error:
                if isinstance(error, BrokenPipeError) and job.output is None:
                    raise
                tell(job.recording.name, str(error))
                failures += 1
        return failures

    async def _transcribe(self, client: TranscriptionClient, job: Job) -> None:
        view = View(job.recording.name, job.recording.size)
        if self._shares_stdout(job) and self._wish.output_format is OutputFormat.TEXT:
            click.echo(f"==> {job.recording.name} <==")
        async with self._watched(view):
            await self._follow(client, job, view)
        if not self._writes_at_once(job):
            self._write(job, view.transcript)
        for failure in stage_failures(view.transcript):
            tell(job.recording.name, f"incomplete: {failure}")

    async def _follow(self, client: TranscriptionClient, job: Job, view: View) -> None:
        """Apply the events to the view's transcript. Raises JobFailed, and OSError where the recording cannot be read."""
        config = self._wish.config(
            job.recording.name, final_only=self._final_only, omit_progress=self._console is None
        )
        chunks = job.recording.chunks(view.add_sent)
        try:
            async with aclosing(chunks), aclosing(client.transcribe(chunks, config)) as events:
                async for event in events:
                    view.transcript.apply(event)
                    if event.HasField("segment") and self._writes_at_once(job):
                        click.echo(segment_line(event.segment))
        except TranscriptionError as error:
            raise JobFailed(explain(error, request_id=config.request_id)) from error
        except UnusableToken as error:
            raise JobFailed(str(error)) from error
        if view.transcript.completed is None:
            raise JobFailed(f"the gateway ended the call too early: report it with {config.request_id}")

    def _watched(self, view: View) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._console is None else shown(view, self._console)

    def _shares_stdout(self, job: Job) -> bool:
        return self._several and job.output is None

    def _writes_at_once(self, job: Job) -> bool:
        """Whether lines are written as they come: only where they are final, and nothing else is drawn there."""
        plain = job.output is None and self._wish.output_format is OutputFormat.TEXT
        return plain and self._final_only and not (self._console and sys.stdout.isatty())

    def _write(self, job: Job, transcript: Transcript) -> None:
        whole = gateway_pb2.TranscribeFileResponse(
            segments=transcript.segments, completed=transcript.completed
        )
        if self._shares_stdout(job) and self._wish.output_format is OutputFormat.JSON:
            text = render_json_line(whole)
        else:
            text = render(whole, self._wish.output_format, name=job.recording.name)
        if job.output is None:
            click.echo(text, nl=False)
        else:
            write_atomically(job.output, text)


def tell(name: str, message: str) -> None:
    """One line to standard error."""
    click.echo(f"duoscribe: {name}: {message}", err=True)
