"""Many uploads while one kind of fault happens again and again."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.faults import Fault
from benchmarks.faults.replicas import Deployment, Replica
from benchmarks.faults.uploads import Caller, Upload
from benchmarks.faults.verdicts import Kind, Reference, Verdict, verdict
from gateway.client import TranscriptionError

# No upload takes so long, however often it is replayed.
_HUNG_SECONDS = 180.0
# Until everybody has let go of what they kept of a recording.
_LETTING_GO_SECONDS = 20.0


@dataclass
class Tally:
    """What became of a round's uploads."""

    fault: str
    strikes: int = 0
    """Replicas that were struck."""
    replayed: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    """Of those that failed."""
    seconds: float = 0.0
    left_behind: int = 0
    """What `left_behind` found long after the last call."""

    def count(self, found: Verdict) -> None:
        self.kinds[found.kind] += 1
        self.replayed += found.replayed
        if found.kind is Kind.FAILED:
            self.codes[found.detail] += 1


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

    async def run(self, faults: Sequence[Fault], uploads: Sequence[Upload], chance: random.Random) -> Tally:
        """Any of the faults strikes, and further ones while it is put right."""
        tally = Tally(faults[0].name if len(faults) == 1 else "any of them")
        over, started = asyncio.Event(), time.monotonic()
        striking = asyncio.create_task(self._strike(faults, tally, chance, over))
        async with asyncio.TaskGroup() as tasks:
            for upload in uploads:
                await self._places.acquire()
                tasks.create_task(self._upload(upload, tally, chance))
        over.set()
        tally.seconds = time.monotonic() - started
        await striking
        tally.left_behind = await self._left_behind()
        return tally

    async def _strike(
        self, faults: Sequence[Fault], tally: Tally, chance: random.Random, over: asyncio.Event
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            fault = chance.choice(faults)
            while not await _within(over, chance.uniform(0.0, 2.0) * fault.pause_seconds):
                for replica in fault.targets(self._deployment, chance):
                    replica.is_serving = False
                    tasks.create_task(_struck(fault, replica))
                    tally.strikes += 1
                fault = chance.choice(faults)

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
        with suppress(TimeoutError):
            async with asyncio.timeout(_LETTING_GO_SECONDS):
                await until_idle(self._deployment)
        return await left_behind(self._deployment)


async def _struck(fault: Fault, replica: Replica) -> None:
    await fault.strike(replica)
    replica.is_serving = True


async def until_idle(deployment: Deployment) -> None:
    """Until nobody works on a recording, or keeps one."""
    while await left_behind(deployment):  # noqa: ASYNC110 - other processes, which announce nothing
        await asyncio.sleep(0.05)


async def left_behind(deployment: Deployment) -> int:
    """Recordings that anybody still works on, and files of recordings that gateways have open."""
    streams = await asyncio.gather(*(replica.streams() for replica in deployment.replicas))
    return sum(streams) + open_files(deployment)


def open_files(deployment: Deployment) -> int:
    """Of recordings, in all gateways; they have no names."""
    return sum(
        target.startswith(str(deployment.spool))
        for gateway in deployment.gateways
        for target in _targets(Path(f"/proc/{gateway.pid}/fd"))
    )


def _targets(links: Path) -> Iterator[str]:
    for link in links.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(link.readlink())


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens so soon."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
