"""A recording that is uploaded in two halves, so that something can happen in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from benchmarks.deterministic.recordings import recording
from benchmarks.faults.replicas import Deployment, Replica
from benchmarks.faults.uploads import PCM
from benchmarks.faults.verdicts import Reference
from gateway.client import Transcript, TranscriptionClient, TranscriptionError, configuration

AUDIO = recording(3, 24.0, seed=5)
CHUNK_BYTES = 32_000
HALF = len(AUDIO) // 2


class Caller:
    """Uploads it; the second half once `goes_on` is set. Waits two minutes at most."""

    def __init__(
        self,
        deployment: Deployment,
        gateway: int = 0,
        *,
        deadline: float | None = None,
        accept_partial: bool = False,
    ) -> None:
        self.goes_on = asyncio.Event()
        self.heard = asyncio.Event()
        """Words have come, so both stages work on it."""
        self._address = deployment.gateways[gateway].proxy.address
        self._deadline = deadline
        self._accept_partial = accept_partial

    async def whole(self) -> Transcript:
        """Without a pause between the halves."""
        self.goes_on.set()
        return await self.transcript()

    async def transcript(self) -> Transcript:
        transcript = Transcript()
        config = configuration(pcm=PCM, accept_partial=self._accept_partial)
        async with (
            asyncio.timeout(120),
            TranscriptionClient(self._address) as client,
            aclosing(client.transcribe(self._chunks(), config, timeout=self._deadline)) as events,
        ):
            async for event in events:
                transcript.apply(event)
                if event.HasField("segment"):
                    self.heard.set()
        return transcript

    async def _chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, HALF, CHUNK_BYTES):
            yield AUDIO[start : min(start + CHUNK_BYTES, HALF)]
        await self.goes_on.wait()
        for start in range(HALF, len(AUDIO), CHUNK_BYTES):
            yield AUDIO[start : start + CHUNK_BYTES]


@asynccontextmanager
async def in_the_middle(caller: Caller) -> AsyncIterator["asyncio.Task[Transcript]"]:
    """With half of the recording sent and words of it back."""
    transcribing = asyncio.create_task(caller.transcript())
    hearing = asyncio.create_task(caller.heard.wait())
    try:
        await asyncio.wait((transcribing, hearing), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if not caller.heard.is_set():
            raise AssertionError("no words came", await asyncio.wait_for(transcribing, 0))
        yield transcribing
    finally:
        transcribing.cancel()
        hearing.cancel()
        await asyncio.gather(transcribing, hearing, return_exceptions=True)


def check_whole(transcript: Transcript, undisturbed: Reference) -> None:
    assert Reference.of(transcript) == undisturbed
    assert transcript.completed is not None
    assert not transcript.completed.partial


def calls(transcript: Transcript) -> list[int]:
    """Those made for recognition and for diarization."""
    assert transcript.completed is not None
    return [stage.attempts for stage in transcript.completed.stages]


async def busy(replicas: tuple[Replica, ...]) -> Replica:
    """The one that works on the only recording."""
    (found,) = [replica for replica in replicas if await replica.streams()]
    return found


async def both_busy(deployment: Deployment) -> tuple[Replica, Replica]:
    return await busy(deployment.asr), await busy(deployment.diarization)


async def until_reached(gateway: Replica) -> None:
    """Channels of one process share what they know of an address, also that nobody listened there a moment ago."""
    async with TranscriptionClient(gateway.proxy.address) as client:
        while True:
            try:
                await client.describe()
            except TranscriptionError:
                await asyncio.sleep(0.1)
            else:
                return
