"""Many uploads while one kind of fault happens again and again."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.faults import Fault
from benchmarks.faults.replicas import Deployment
from benchmarks.faults.uploads import Caller, Upload
from benchmarks.faults.verdicts import Kind, Reference, Verdict, verdict
from gateway.client import TranscriptionError

# No upload takes so long, however often it is replayed.
_HUNG_SECONDS = 180.0
# Until a gateway has let go of what it kept of a recording.
_LETTING_GO_SECONDS = 20.0


@dataclass
class Tally:
    """What became of a round's uploads."""

    fault: str
    strikes: int = 0
    replayed: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    left_behind: int = 0
    """Files of recordings that gateways still held open after the last call."""

    def count(self, found: Verdict) -> None:
        self.kinds[found.kind] += 1
        self.replayed += found.replayed
        if found.detail:
            self.details[found.detail] += 1


class Round:
    """`at_once` uploads at a time; `tell` is called with each verdict."""

    def __init__(
        self,
        deployment: Deployment,
        recordings: Sequence[bytes],
        references: Sequence[Reference],
        *,
        at_once: int,
        tell: Callable[[Verdict], None],
    ) -> None:
        self._deployment = deployment
        self._recordings = recordings
        self._references = references
        self._places = asyncio.Semaphore(at_once)
        self._tell = tell

    async def run(self, fault: Fault, uploads: Sequence[Upload], chance: random.Random) -> Tally:
        tally, over = Tally(fault.name), asyncio.Event()
        striking = asyncio.create_task(self._strike(fault, tally, chance, over))
        async with asyncio.TaskGroup() as tasks:
            for upload in uploads:
                await self._places.acquire()
                tasks.create_task(self._upload(upload, tally, chance))
        over.set()
        await striking
        tally.left_behind = await self._left_behind()
        return tally

    async def _strike(self, fault: Fault, tally: Tally, chance: random.Random, over: asyncio.Event) -> None:
        while not await _within(over, chance.expovariate(1.0) * fault.pause_seconds):
            await fault.strike(self._deployment, chance)
            tally.strikes += 1

    async def _upload(self, upload: Upload, tally: Tally, chance: random.Random) -> None:
        # As a mesh does it, which takes a gateway out of its endpoints before it ends.
        gateway = chance.choice([each for each in self._deployment.gateways if each.is_serving])
        caller = Caller(upload, self._recordings[upload.recording], gateway.proxy.address)
        error: BaseException | None = None
        try:
            async with asyncio.timeout(_HUNG_SECONDS):
                await caller.run()
        except (TimeoutError, TranscriptionError) as failure:
            error = failure
        finally:
            self._places.release()
        found = verdict(caller, self._references[upload.recording], error)
        tally.count(found)
        self._tell(found)

    async def _left_behind(self) -> int:
        for _ in range(round(_LETTING_GO_SECONDS / 0.1)):
            if not open_files(self._deployment):
                break
            await asyncio.sleep(0.1)
        return open_files(self._deployment)


def open_files(deployment: Deployment) -> int:
    """Of recordings, in all gateways; they have no names."""
    return sum(
        str(link.readlink()).startswith(str(deployment.spool))
        for gateway in deployment.gateways
        for link in Path(f"/proc/{gateway.pid}/fd").iterdir()
        if link.is_symlink()
    )


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens so soon."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
