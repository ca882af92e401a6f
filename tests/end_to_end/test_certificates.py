"""The three services as processes that speak TLS to each other and to their caller, while every certificate is replaced."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from benchmarks.deterministic.recordings import recording
from gateway.client import (
    CertificateFiles,
    NotConnected,
    Transcript,
    TranscriptionClient,
    TranscriptionError,
    configuration,
)
from support.certificates import Authority, Identity
from support.gateway.deployment import PCM
from support.processes import ServiceProcess

PEERS = ("asr", "diarization", "gateway", "caller")
SECONDS = 6.0
RECORDING = recording(people=2, seconds=SECONDS, seed=7)
CALLERS = 3
# Connections end this soon, so that there are handshakes all the time.
AGE = "--max-connection-age-seconds=1"


def serving_with(folder: Path) -> tuple[str, ...]:
    return (
        f"--tls-certificate={folder / 'tls.crt'}",
        f"--tls-key={folder / 'tls.key'}",
        f"--tls-client-ca={folder / 'ca.crt'}",
        "--address=127.0.0.1:0",
        AGE,
    )


def hand_out(folder: Path, identities: dict[str, Identity], trusted: bytes) -> None:
    for name, identity in identities.items():
        replace(identity, trusted=trusted).write(folder / name)


def files_in(folder: Path) -> CertificateFiles:
    return CertificateFiles(certificate=folder / "tls.crt", key=folder / "tls.key", ca=folder / "ca.crt")


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def address(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """Of the gateway; certificates lie in a folder for each peer."""
    hand_out(tmp_path, {name: authority.identity(name) for name in PEERS}, authority.certificate)
    backends = tmp_path / "gateway"
    with ExitStack() as processes:

        def start(name: str, module: str, *flags: str) -> str:
            process = ServiceProcess(
                module, (*serving_with(tmp_path / name), *flags), tmp_path / f"{name}.log"
            )
            return processes.enter_context(process).address

        asr = start("asr", "benchmarks.deterministic.asr")
        diarization = start("diarization", "benchmarks.deterministic.diarization")
        yield start(
            "gateway",
            "gateway",
            f"--asr={asr}",
            f"--diarization={diarization}",
            f"--backend-ca={backends / 'ca.crt'}",
            f"--backend-certificate={backends / 'tls.crt'}",
            f"--backend-key={backends / 'tls.key'}",
            f"--spool-directory={tmp_path}",
        )


async def spoken() -> AsyncIterator[bytes]:
    """The recording within about a second."""
    for start in range(0, len(RECORDING), 16_000):
        yield RECORDING[start : start + 16_000]
        await asyncio.sleep(0.05)


async def transcribed(client: TranscriptionClient) -> list[str]:
    """Speakers and words."""
    transcript = Transcript()
    async with aclosing(client.transcribe(spoken(), configuration(pcm=PCM), timeout=60)) as events:
        async for event in events:
            transcript.apply(event)
    return [f"{segment.speaker}: {segment.text}" for segment in transcript.segments]


async def until_serving(client: TranscriptionClient) -> None:
    """Until a recording is transcribed: the gateway is healthy before its backends are."""
    async with asyncio.timeout(120):
        while True:
            try:
                await transcribed(client)
            except TranscriptionError:
                await asyncio.sleep(0.2)
            else:
                return


class Callers:
    """Upload again and again with one client, until they are told to stop."""

    def __init__(self, client: TranscriptionClient) -> None:
        self._client = client
        self.transcripts: list[list[str]] = []
        self.stopping = False
        self.finished = asyncio.Condition()

    async def call(self) -> None:
        while not self.stopping:
            transcript = await transcribed(self._client)
            async with self.finished:
                self.transcripts.append(transcript)
                self.finished.notify_all()

    async def several_more(self) -> None:
        """Until each caller has begun and finished a recording."""
        wanted = len(self.transcripts) + 2 * CALLERS
        async with asyncio.timeout(60), self.finished:
            await self.finished.wait_for(lambda: len(self.transcripts) >= wanted)


async def test_an_authority_and_all_its_certificates_are_replaced_under_load(
    address: str, tmp_path: Path, authority: Authority
) -> None:
    renewed, old_caller = Authority(), authority.identity("caller")
    both = authority.certificate + renewed.certificate
    old = {name: authority.identity(name) for name in PEERS}
    new = {name: renewed.identity(name) for name in PEERS}
    async with TranscriptionClient(address, credentials=files_in(tmp_path / "caller")) as client:
        await until_serving(client)
        expected = await transcribed(client)
        callers = Callers(client)
        async with asyncio.TaskGroup() as calling:
            for _ in range(CALLERS):
                calling.create_task(callers.call())
            for identities, trusted in ((old, both), (new, both), (new, renewed.certificate)):
                hand_out(tmp_path, identities, trusted)
                await callers.several_more()
            callers.stopping = True
    assert len(" ".join(expected).split()) > 20
    assert callers.transcripts == [expected] * len(callers.transcripts)

    stranger = replace(old_caller, trusted=renewed.certificate)
    async with TranscriptionClient(address, credentials=stranger.credentials()) as client:
        with pytest.raises(NotConnected) as refused:
            await client.describe(timeout=10)
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE
