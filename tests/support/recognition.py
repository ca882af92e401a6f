"""The recognition service with a fake engine and ears, served by the real server, and what tests say to it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import numpy as np
from prometheus_client import CollectorRegistry

from asr_service.config import AsrConfig
from asr_service.engines.base import NEVER, Engine, EngineInfo, Recognition, Speech, Stop, Token
from asr_service.loading import LoadedModels
from asr_service.servicer import RecognitionService
from asr_service.vad import VadOptions, VoiceActivityDetector
from benchmarks.deterministic.loudness import LoudnessModel
from serving.calls import responses
from serving.server import RunningServer, running
from serving.times import SAMPLE_RATE
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.audio.v1 import audio_pb2
from support.decoder import SharedDecoder

INFO = EngineInfo(
    family="transducer",
    engine="fake 1.0",
    provider="cpu",
    languages=("en", "de"),
    measures_time=True,
    times_drift=False,
    has_confidence=True,
    preferred_seconds=25,
    max_seconds=30,
)
VAD = VadOptions(threshold=0.5, min_speech=0.1, min_silence=0.2)


def measured_words(speech: Speech) -> Recognition:
    """One word a second of the utterance, named after its loudness."""
    loudness = round(float(np.abs(speech.samples).max()) * 100) if len(speech.samples) else 0
    seconds = len(speech.samples) / SAMPLE_RATE
    return Recognition(
        tuple(
            Token(f" w{loudness}".encode(), start=start, log_prob=-0.1)
            for start in np.arange(0.2, seconds, 1.0).tolist()
        )
    )


class FakeEngine:
    """Answers at once, or as soon as `gate` is set, and remembers what it was asked and in which order."""

    def __init__(
        self,
        answer: Callable[[Speech], Recognition] = measured_words,
        *,
        info: EngineInfo = INFO,
        gate: threading.Event | None = None,
        bucket: Callable[[Speech], int] = lambda _: 0,
        padded: Callable[[Speech], float] = lambda speech: speech.seconds,
    ) -> None:
        self.info = info
        self.batches: list[list[Speech]] = []
        self.started = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)
        self._answer = answer
        self._gate = gate
        self._bucket = bucket
        self._padded = padded

    @property
    def asked(self) -> list[Speech]:
        return [speech for batch in self.batches for speech in batch]

    def bucket(self, speech: Speech) -> int:
        return self._bucket(speech)

    def padded(self, speech: Speech) -> float:
        return self._padded(speech)

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        self.batches.append(list(batch))
        stop.on_set(self.stopped.release)
        self.started.release()
        if self._gate:
            self._wait(self._gate, stop)
        return [self._answer(speech) for speech in batch]

    @staticmethod
    def _wait(gate: threading.Event, stop: Stop) -> None:
        for _ in range(1000):
            is_open = gate.wait(0.01)
            stop.check()
            if is_open:
                return


def detector(options: VadOptions = VAD) -> VoiceActivityDetector:
    return VoiceActivityDetector(LoudnessModel(options), options)


def loaded(engine: Engine) -> LoadedModels:
    info = audio_pb2.ModelInfo(role="recognition", name="fake", fingerprint="00", engine="fake 1.0")
    return LoadedModels(engine, detector, (info,))


def asr_config(**changes: Any) -> AsrConfig:
    """Any free port, short waits, one utterance at a time whatever the machine."""
    return replace(
        AsrConfig(address="127.0.0.1:0", drain_seconds=5.0, max_idle_seconds=10.0, parallel=1), **changes
    )


@dataclass(frozen=True)
class AsrDoor:
    server: RunningServer
    channel: grpc.aio.Channel
    stub: "asr_pb2_grpc.SpeechRecognitionAsyncStub"
    registry: CollectorRegistry

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        value = self.registry.get_sample_value(name)
        if value is None:
            raise KeyError(name)
        return value

    async def queued(self, utterances: int) -> None:
        """Waits until so many wait for the engine."""
        async with asyncio.timeout(5):
            while self.metric("duoscribe_asr_queue_utterances") < utterances:  # noqa: ASYNC110 - a gauge cannot be awaited
                await asyncio.sleep(0.01)

    async def recognize(self, pcm: bytes, *, chunk: int = 32_000, language: str = "") -> "Answer":
        requests = upload(pcm, chunk=chunk, language=language)
        return await answer_of(self.stub.Recognize(requests))


@dataclass(frozen=True)
class Answer:
    responses: list[asr_pb2.RecognizeResponse]

    @property
    def kinds(self) -> list[str]:
        return [str(response.WhichOneof("message")) for response in self.responses]

    @property
    def utterances(self) -> list[asr_pb2.Utterance]:
        return [response.utterance for response in self.responses if response.HasField("utterance")]

    @property
    def words(self) -> list[asr_pb2.Word]:
        return [word for utterance in self.utterances for word in utterance.words]

    @property
    def text(self) -> str:
        return " ".join(utterance.text for utterance in self.utterances)

    @property
    def completed(self) -> asr_pb2.RecognitionCompleted:
        return self.responses[-1].completed


async def answer_of(call: Any) -> Answer:
    return Answer([response async for response in responses(call)])


@contextlib.asynccontextmanager
async def asr_door(
    engine: Engine | None = None,
    config: AsrConfig | None = None,
    load: Callable[[], LoadedModels] | None = None,
    *,
    wait: bool = True,
) -> AsyncIterator[AsrDoor]:
    config = config or asr_config()
    models = loaded(engine or FakeEngine())
    registry = CollectorRegistry()
    service = RecognitionService(config, load or (lambda: models), registry, SharedDecoder())
    async with running(service, config, registry, line=service.line) as server:
        if wait:
            await server.wait_serving()
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield AsrDoor(server, channel, asr_pb2_grpc.SpeechRecognitionStub(channel), registry)


def config_message(language: str = "") -> asr_pb2.RecognizeRequest:
    pcm = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)
    return asr_pb2.RecognizeRequest(
        config=asr_pb2.RecognitionConfig(audio_format=audio_pb2.AudioFormat(pcm=pcm), language=language)
    )


async def upload(
    pcm: bytes, *, chunk: int = 32_000, language: str = "", pause: float = 0.0, end: bool = True
) -> AsyncIterator[asr_pb2.RecognizeRequest]:
    """A whole recording, mono 16 kHz s16; without `end` the stream stays open behind it."""
    yield config_message(language)
    for at in range(0, len(pcm), chunk):
        yield asr_pb2.RecognizeRequest(audio=pcm[at : at + chunk])
        await asyncio.sleep(pause)
    if not end:
        await asyncio.Event().wait()
    yield asr_pb2.RecognizeRequest(end_of_audio=audio_pb2.EndOfAudio())


def speech(*pieces: tuple[float, float], loudness: float = 0.5) -> bytes:
    """(silent, loud) seconds in turn, as s16 bytes: noise where it is loud."""
    noise = np.random.default_rng(1)
    samples = [
        np.concatenate(
            (
                np.zeros(round(quiet * SAMPLE_RATE)),
                noise.uniform(-loudness, loudness, round(loud * SAMPLE_RATE)),
            )
        )
        for quiet, loud in pieces
    ]
    return to_bytes(samples)


def to_bytes(samples: Iterable[Any]) -> bytes:
    return bytes((np.concatenate([np.zeros(0), *samples]) * 32767).astype("<i2").tobytes())
