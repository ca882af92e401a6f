"""What tests of diarization say to the service, and workers without models."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from diarization_service.config import Config
from diarization_service.service import DiarizationService
from serving.calls import responses
from serving.server import running
from serving.status import from_rpc_error
from speech.audio.v1.audio_pb2 import PCM_ENCODING_S16LE, AudioFormat, EndOfAudio, ModelInfo, PcmFormat
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationResponse,
    DiarizationCompleted,
    DiarizationConfig,
    DiarizationProgress,
    DiarizeRequest,
    DiarizeResponse,
    SpeakerHints,
    TurnsUpdate,
)
from speech.diarization.v1.diarization_pb2_grpc import SpeakerDiarizationStub

PCM = AudioFormat(pcm=PcmFormat(encoding=PCM_ENCODING_S16LE, sample_rate_hz=16_000, channels=1))

Script = Callable[[bytes], AsyncGenerator[DiarizeResponse, None]]


def limits(**changes: Any) -> Config:
    """A configuration for tests: any free port, short waits."""
    return replace(Config(address="127.0.0.1:0", drain_seconds=5.0, cancel_grace_seconds=0.2), **changes)


async def answered(pcm: bytes) -> AsyncGenerator[DiarizeResponse, None]:
    """What a worker says when all goes well; `turns` is the number of bytes it was sent."""
    yield DiarizeResponse(progress=DiarizationProgress(fraction=0.5))
    yield DiarizeResponse(turns=TurnsUpdate())
    yield DiarizeResponse(completed=DiarizationCompleted(turns=len(pcm)))


class FakeWorker:
    """A worker in this process; `script` answers a recording's bytes."""

    def __init__(self, script: Script = answered) -> None:
        self.usable = True
        self.closed = False
        self.settled: asyncio.Queue[float] = asyncio.Queue()
        self.configs: list[DiarizationConfig] = []
        self.received: list[bytes] = []
        self._script = script

    @property
    def description(self) -> DescribeDiarizationResponse:
        models = [
            ModelInfo(role=role, engine="fake 1", provider="cpu") for role in ("segmentation", "embedding")
        ]
        return DescribeDiarizationResponse(models=models)

    async def diarize(
        self, config: DiarizationConfig, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[DiarizeResponse, None]:
        self.configs.append(config)
        self.received.append(b"".join([piece async for piece in audio]))
        async with aclosing(self._script(self.received[-1])) as answers:
            async for answer in answers:
                yield answer

    async def settle(self, grace_seconds: float) -> None:
        self.settled.put_nowait(grace_seconds)

    async def close(self) -> None:
        self.closed = True
        self.usable = False


def of_role(role: str) -> ModelInfo:
    return ModelInfo(role=role, name=f"fake-{role}", fingerprint="f" * 64, license="MIT")


@asynccontextmanager
async def served(*workers: FakeWorker, config: Config | None = None) -> AsyncIterator["Caller"]:
    """The real server before these workers."""
    config = replace(config or limits(), workers=len(workers))
    spare = iter(workers)

    async def spawn() -> FakeWorker:
        return next(spare)

    service = DiarizationService(
        config, spawn=spawn, models=lambda: [of_role("segmentation"), of_role("embedding")]
    )
    async with running(service, config) as server:
        await server.wait_serving()
        async with Caller.of(server.address) as caller:
            yield caller


class Caller:
    """A client of the contract."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.stub = SpeakerDiarizationStub(channel)

    @classmethod
    @asynccontextmanager
    async def of(cls, address: str) -> "AsyncIterator[Caller]":
        async with grpc.aio.insecure_channel(address) as channel:
            yield cls(channel)

    def diarize(self, *requests: DiarizeRequest, **call: Any) -> AsyncGenerator[DiarizeResponse, None]:
        return responses(self.stub.Diarize(_stream(requests), **call))

    async def all(self, *requests: DiarizeRequest) -> list[DiarizeResponse]:
        return [response async for response in self.diarize(*requests)]

    async def refused(self, *requests: DiarizeRequest) -> Status:
        """The status of a call that must fail, within 20 s."""
        try:
            async with asyncio.timeout(20):
                answers = await self.all(*requests)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        raise AssertionError(f"the call succeeded with {answers}")


def upload(
    audio: bytes, audio_format: AudioFormat = PCM, *, request_id: str = "", **speakers: int
) -> list[DiarizeRequest]:
    """A whole recording in messages of 64 KiB."""
    return [
        config(audio_format, request_id=request_id, **speakers),
        *(chunk(audio[start : start + 65_536]) for start in range(0, len(audio), 65_536)),
        end(),
    ]


def config(audio_format: AudioFormat = PCM, *, request_id: str = "", **speakers: int) -> DiarizeRequest:
    held = DiarizationConfig(audio_format=audio_format, request_id=request_id)
    if speakers:
        held.speakers.CopyFrom(SpeakerHints(**speakers))
    return DiarizeRequest(config=held)


def chunk(audio: bytes) -> DiarizeRequest:
    return DiarizeRequest(audio=audio)


def end() -> DiarizeRequest:
    return DiarizeRequest(end_of_audio=EndOfAudio())


async def _stream(requests: Iterable[DiarizeRequest]) -> AsyncIterator[DiarizeRequest]:
    for request in requests:
        yield request
