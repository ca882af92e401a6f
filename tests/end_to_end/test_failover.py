"""Backends are killed while they work: the transcript is complete and equal all the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.answers import found_turns
from benchmarks.corpus import conversation
from gateway.client import TranscriptionClient, configuration
from speech.gateway.v1 import gateway_pb2
from support.processes import ServiceProcess, free_address
from support.transcripts import Caller, chunked, replayed, spoken_words

pytestmark = pytest.mark.models

KINDS = ("asr_service", "diarization_service")


class Replicas:
    """Two addresses for each backend; what listens there comes and goes."""

    def __init__(self, folder: Path, processes: ExitStack) -> None:
        self.addresses = {kind: (free_address(), free_address()) for kind in KINDS}
        self.running: dict[tuple[str, int], ServiceProcess] = {}
        self._folder = folder
        self._processes = processes

    def start(self, kind: str, index: int) -> None:
        flags = ("--address", self.addresses[kind][index])
        process = ServiceProcess(kind, flags, self._folder / f"{kind}-{index}.log")
        self.running[kind, index] = self._processes.enter_context(process).wait_serving()

    def kill(self, kind: str, index: int) -> None:
        self.running[kind, index].kill()


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as processes:
        yield Replicas(tmp_path, processes)


@pytest.fixture
def gateway(replicas: Replicas, tmp_path: Path) -> Iterator[ServiceProcess]:
    flags = (
        "--address=127.0.0.1:0",
        f"--asr={','.join(replicas.addresses['asr_service'])}",
        f"--diarization={','.join(replicas.addresses['diarization_service'])}",
    )
    with ServiceProcess("gateway", flags, tmp_path / "gateway.log") as process:
        yield process.wait_serving()


async def test_killing_both_backends_in_mid_stream_loses_nothing(
    replicas: Replicas, gateway: ServiceProcess, tmp_path: Path
) -> None:
    wav = conversation(20).write_wav(tmp_path / "conversation.wav").read_bytes()
    for kind in KINDS:
        replicas.start(kind, 0)
    second_half = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        half = len(wav) // 2
        async for chunk in chunked(wav[:half]):
            yield chunk
        await second_half.wait()
        async for chunk in chunked(wav[half:]):
            yield chunk

    retried: set[int] = set()
    events: list[gateway_pb2.TranscribeResponse] = []
    async with TranscriptionClient(gateway.address) as client:
        async for event in client.transcribe(upload(), configuration(name="conversation.wav")):
            events.append(event)
            if event.HasField("stage_status") and event.stage_status.retrying:
                retried.add(event.stage_status.stage)
            if event.HasField("segment") and not second_half.is_set():
                # Both first replicas hold half of the recording; some of its words are with the caller already.
                for kind in KINDS:
                    await asyncio.to_thread(replicas.start, kind, 1)
                    replicas.kill(kind, 0)
                second_half.set()
        undisturbed = await Caller(client).transcribe_file(tmp_path / "conversation.wav")

    disturbed = replayed(events)
    assert retried == {gateway_pb2.STAGE_ASR, gateway_pb2.STAGE_DIARIZATION}
    assert spoken_words(disturbed) == spoken_words(undisturbed)
    assert found_turns(disturbed) == found_turns(undisturbed)
    assert disturbed.completed is not None
    assert not disturbed.completed.partial
    assert len(spoken_words(disturbed)) > 20
