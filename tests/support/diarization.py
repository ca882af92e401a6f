"""What tests of diarization say to the service, and workers without models."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from diarization_service.config import Config
from diarization_service.line import Lines
from diarization_service.metrics import DiarizationMetrics
from diarization_service.pool import Spawn
from diarization_service.process import Worker
from diarization_service.service import DiarizationService
from diarization_service.times import Times
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
from support.decoder import SharedDecoder

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
    """A worker in this process; `script` answers a recording's bytes once all of them are there."""

    def __init__(self, script: Script = answered) -> None:
        self.configs: list[DiarizationConfig] = []
        self.received: list[bytes] = []
        """By recordings that were sent whole."""
        self.given_up: asyncio.Queue[DiarizationConfig] = asyncio.Queue()
        self._script = script
        self._lost = asyncio.Event()

    @property
    def description(self) -> DescribeDiarizationResponse:
        models = [
            ModelInfo(role=role, engine="fake 1", provider="cpu") for role in ("segmentation", "embedding")
        ]
        return DescribeDiarizationResponse(models=models, early_turns=True, mode="exact")

    @property
    def usable(self) -> bool:
        return not self._lost.is_set()

    @asynccontextmanager
    async def recording(self, config: DiarizationConfig) -> AsyncIterator["FakeExchange"]:
        self.configs.append(config)
        exchange = FakeExchange(self._script, self.received)
        try:
            yield exchange
        finally:
            if not exchange.is_over:
                self.given_up.put_nowait(config)

    async def ended(self) -> None:
        await self._lost.wait()

    def lose(self) -> None:
        """As where the process is killed."""
        self._lost.set()

    async def close(self) -> None:
        self._lost.set()


class FakeExchange:
    """One recording's, at a fake worker."""

    def __init__(self, script: Script, received: list[bytes]) -> None:
        self.is_over = False
        self.times = Times()
        self._script = script
        self._received = received
        self._audio = bytearray()
        self._whole = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        self._audio += pcm

    async def end(self) -> None:
        self._received.append(bytes(self._audio))
        self._whole.set()

    async def responses(self) -> AsyncIterator[DiarizeResponse]:
        await self._whole.wait()
        async with aclosing(self._script(bytes(self._audio))) as answers:
            async for answer in answers:
                self.is_over = answer.HasField("completed")
                yield answer


def of_role(role: str) -> ModelInfo:
    return ModelInfo(role=role, name=f"fake-{role}", fingerprint="f" * 64, license="MIT")


@asynccontextmanager
async def served(*workers: FakeWorker, config: Config | None = None) -> AsyncIterator["Caller"]:
    """The real server before these workers."""
    config = replace(config or limits(), workers=len(workers))

    async def spawn(number: int) -> Worker:
        return workers[number]

    async with serving_with(spawn, config) as caller:
        yield caller


@asynccontextmanager
async def serving_with(
    spawn: Spawn,
    config: Config,
    registry: CollectorRegistry | None = None,
    metrics: DiarizationMetrics | None = None,
    lines: Lines | None = None,
) -> AsyncIterator["Caller"]:
    """The real server before workers that `spawn` makes; `metrics`, if given, are those of `registry`."""
    registry = registry or CollectorRegistry()
    service = DiarizationService(
        config,
        spawn=spawn,
        models=lambda: [of_role("segmentation"), of_role("embedding")],
        metrics=metrics or DiarizationMetrics(registry),
        lines=lines or Lines(),
        decoder=SharedDecoder(),
    )
    async with running(service, config, registry, line=service.line) as server:
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


def in_chunks(audio: bytes, size: int) -> list[DiarizeRequest]:
    """A whole recording in messages of so many bytes."""
    return [config(), *(chunk(audio[at : at + size]) for at in range(0, len(audio), size)), end()]


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
