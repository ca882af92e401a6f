"""An utterance on its way through the engine, and a batch of them."""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

from asr_service.engines.base import Engine, Recognition, Speech, Stop


@dataclass(frozen=True)
class Run:
    """When a batch of so many utterances was decoded, on the event loop's clock."""

    began: float
    ended: float
    utterances: int


@dataclass(frozen=True)
class Decoded:
    recognition: Recognition
    seconds: float
    """Its share, by padded length, of the wall time that its batch took."""
    arrived: float
    """When it was queued, on the event loop's clock."""
    run: Run
    """Its batch's."""


@dataclass(frozen=True, eq=False)
class Job:
    """One utterance; whoever cancels `result` wants it no more."""

    stream: Hashable
    speech: Speech
    bucket: int
    padded: float
    """Seconds of audio that are computed for it."""
    arrived: float
    """When it was queued, on the event loop's clock."""
    result: "asyncio.Future[Decoded]"

    @property
    def seconds(self) -> float:
        return self.speech.seconds


class Batch:
    """What one `recognize` call decodes. It is stopped once nobody waits for any of it."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.stop = Stop()
        self.given_up: dict[Job, float] = {}
        """Those that nobody waits for any more, and since when, on the event loop's clock."""
        for job in jobs:
            job.result.add_done_callback(partial(self._settled, job))

    @property
    def seconds(self) -> float:
        """Of audio."""
        return sum(job.seconds for job in self.jobs)

    @property
    def padded(self) -> float:
        """Seconds of audio that are computed, never less."""
        return sum(job.padded for job in self.jobs)

    def recognize(self, engine: Engine) -> list[Recognition]:
        """Blocks. Raises whatever the engine raises, Stopped among it."""
        return engine.recognize([job.speech for job in self.jobs], self.stop)

    def answer(self, recognitions: Sequence[Recognition], began: float, ended: float) -> None:
        """Hands out what was recognised, and to each its share of what it took; ValueError where it is not as many."""
        run = Run(began, ended, len(self.jobs))
        # All pairs first: where one is missing, nobody knows whose.
        for job, recognition in list(zip(self.jobs, recognitions, strict=True)):
            if not job.result.done():
                share = (ended - began) * job.padded / self.padded
                job.result.set_result(Decoded(recognition, share, job.arrived, run))

    def fail(self, error: Exception) -> None:
        for job in self.jobs:
            if not job.result.done():
                job.result.set_exception(error)

    def _settled(self, job: Job, result: "asyncio.Future[Decoded]") -> None:
        if result.cancelled():
            self.given_up[job] = result.get_loop().time()
        if len(self.given_up) == len(self.jobs):
            self.stop.set()
