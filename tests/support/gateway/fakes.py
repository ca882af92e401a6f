"""Backends with the real contract and no models, which answer from a script and fail where a test wants them to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

from serving.config import ServerConfig
from serving.times import duration
from serving.upload import Upload
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2, diarization_pb2_grpc

BYTES_PER_SECOND = 32_000

# What a call does when it has sent as many answers as its test wants.
Fault = Callable[[Any], Awaitable[None]]


@dataclass
class Call:
    """A call as the backend saw it."""

    config: Any
    request_id: str
    metadata: dict[str, Any]
    time_remaining: float | None
    received: int = 0
    ending: "asyncio.Future[str]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True)
class Answer:
    """A message, due once so much audio was received."""

    after_seconds: float
    message: Any


@dataclass(frozen=True)
class Failing:
    """A call that goes wrong after so many answers."""

    answers: int
    fault: Fault


class FakeBackend:
    """`faults` are for its first calls, in order; None lets a call succeed."""

    names: tuple[str, ...]

    def __init__(
        self, started: Message, answers: Sequence[Answer], faults: Sequence[Failing | None] = ()
    ) -> None:
        self.config = ServerConfig(drain_seconds=0.0, max_idle_seconds=10.0)
        self.calls: list[Call] = []
        self.called = asyncio.Event()
        self.script = [Answer(0.0, started), *answers]
        # Cleared by tests that want the answers at the end to wait.
        self.released = asyncio.Event()
        self.released.set()
        self.faults = list(faults)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def serve(self, request_iterator: AsyncIterator[Any], context: Any) -> None:
        upload: Upload[Any] = await Upload.open(request_iterator, context, self.config)
        metadata = dict(context.invocation_metadata())
        call = Call(upload.config, upload.request_id, metadata, context.time_remaining())
        fault = self.faults.pop(0) if self.faults else None
        self.calls.append(call)
        self.called.set()
        try:
            await self._answer(call, upload, context, fault)
        except BaseException as error:
            call.ending.set_result(type(error).__name__)
            raise
        call.ending.set_result("done")

    async def _answer(self, call: Call, upload: Upload[Any], context: Any, fault: Failing | None) -> None:
        script = iter(enumerate(self.script))
        due = next(script, None)

        async def answer_until(seconds: float) -> None:
            nonlocal due
            while due is not None and due[1].after_seconds <= seconds:
                if fault is not None and due[0] == fault.answers:
                    await fault.fault(context)
                await context.write(due[1].message)
                due = next(script, None)

        await answer_until(0.0)
        async for chunk in upload.chunks():
            call.received += len(chunk)
            await answer_until(call.received / BYTES_PER_SECOND)
        await self.released.wait()
        await answer_until(float("inf"))


class FakeRecognition(FakeBackend, asr_pb2_grpc.SpeechRecognitionServicer):
    names = ("speech.asr.v1.SpeechRecognition",)

    def register(self, server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(self, server)

    async def Recognize(self, request_iterator: Any, context: Any) -> None:
        await self.serve(request_iterator, context)

    async def DescribeRecognition(self, request: Any, context: Any) -> asr_pb2.DescribeRecognitionResponse:
        models = [audio_pb2.ModelInfo(role="recognition", name="fake-asr")]
        return asr_pb2.DescribeRecognitionResponse(family="fake", models=models, languages=["en"])


class FakeDiarization(FakeBackend, diarization_pb2_grpc.SpeakerDiarizationServicer):
    names = ("speech.diarization.v1.SpeakerDiarization",)

    def register(self, server: grpc.aio.Server) -> None:
        diarization_pb2_grpc.add_SpeakerDiarizationServicer_to_server(self, server)

    async def Diarize(self, request_iterator: Any, context: Any) -> None:
        await self.serve(request_iterator, context)

    async def DescribeDiarization(
        self, request: Any, context: Any
    ) -> diarization_pb2.DescribeDiarizationResponse:
        return diarization_pb2.DescribeDiarizationResponse(resolution=duration(0.25))


def failing(
    code: grpc.StatusCode, message: str = "ipv4:10.0.0.7 says secret", *details: Message, after: int = 1
) -> Failing:
    """Ends with a status after so many answers."""

    async def fault(context: Any) -> None:
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        await context.abort_with_status(rpc_status.to_status(status))

    return Failing(after, fault)


def hanging(after: int = 1) -> Failing:
    async def fault(context: Any) -> None:
        await asyncio.Event().wait()

    return Failing(after, fault)


def recognition(
    *utterances: tuple[float, float, str], faults: Sequence[Failing | None] = ()
) -> FakeRecognition:
    """Start, end and text of utterances; their words share the time evenly."""
    started = asr_pb2.RecognizeResponse(
        started=asr_pb2.RecognitionStarted(models=[audio_pb2.ModelInfo(role="recognition", name="fake-asr")])
    )
    answers = []
    for index, (start, end, text) in enumerate(utterances):
        answers.append(Answer(end, utterance(index, start, end, text)))
        progress = asr_pb2.RecognitionProgress(received=duration(end), processed=duration(end))
        answers.append(Answer(end, asr_pb2.RecognizeResponse(progress=progress)))
    completed = asr_pb2.RecognitionCompleted(utterances=len(utterances), timing=timing())
    answers.append(Answer(float("inf"), asr_pb2.RecognizeResponse(completed=completed)))
    return FakeRecognition(started, answers, faults)


def utterance(index: int, start: float, end: float, text: str) -> asr_pb2.RecognizeResponse:
    words = text.split()
    length = (end - start) / max(1, len(words))
    return asr_pb2.RecognizeResponse(
        utterance=asr_pb2.Utterance(
            index=index,
            span=span(start, end),
            text=text,
            words=[
                asr_pb2.Word(
                    text=word,
                    start=duration(start + number * length),
                    end=duration(start + (number + 1) * length),
                    confidence=0.5,
                    timing=asr_pb2.WORD_TIMING_MEASURED,
                )
                for number, word in enumerate(words)
            ],
        )
    )


def diarization(*turns: tuple[float, float, str], faults: Sequence[Failing | None] = ()) -> FakeDiarization:
    """Turns without overlaps, told at the end."""
    started = diarization_pb2.DiarizeResponse(
        started=diarization_pb2.DiarizationStarted(
            models=[audio_pb2.ModelInfo(role="segmentation", name="fake-diarization")]
        )
    )
    progress = diarization_pb2.DiarizationProgress(fraction=0.5)
    speakers = list(dict.fromkeys(speaker for _, _, speaker in turns))
    completed = diarization_pb2.DiarizationCompleted(speakers=speakers, turns=len(turns), timing=timing())
    answers = [
        diarization_pb2.DiarizeResponse(progress=progress),
        diarization_pb2.DiarizeResponse(turns=turns_update(turns)),
        diarization_pb2.DiarizeResponse(completed=completed),
    ]
    return FakeDiarization(started, [Answer(float("inf"), answer) for answer in answers], faults)


def early(after: float, update: diarization_pb2.TurnsUpdate) -> Answer:
    """An update that comes once so many seconds were received."""
    return Answer(after, diarization_pb2.DiarizeResponse(turns=update))


def turns_update(
    turns: Sequence[tuple[float, float, str]],
    *,
    since: float = 0.0,
    until: float | None = None,
    horizon: float = 3600.0,
    final: float = 3600.0,
) -> diarization_pb2.TurnsUpdate:
    messages = [diarization_pb2.Turn(span=span(start, end), speaker=speaker) for start, end, speaker in turns]
    update = diarization_pb2.TurnsUpdate(
        turns=messages,
        exclusive_turns=messages,
        horizon=duration(horizon),
        final_horizon=duration(final),
        until=duration(until) if until is not None else None,
    )
    getattr(update, "from").CopyFrom(duration(since))
    return update


def span(start: float, end: float) -> audio_pb2.TimeSpan:
    return audio_pb2.TimeSpan(start=duration(start), end=duration(end))


def timing() -> audio_pb2.StageTiming:
    return audio_pb2.StageTiming(compute_duration=duration(0.125))
