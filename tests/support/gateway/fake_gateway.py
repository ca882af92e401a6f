"""A gateway with the real contract behind the real server, that transcribes every recording the same way."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from serving.config import ServerConfig
from serving.errors import InvalidAudio, Overloaded
from serving.server import running
from serving.times import duration
from serving.upload import Upload
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc

WORDS = (
    ("Hello", 0.5, 0.9, "SPEAKER_00"),
    ("there.", 1.0, 1.4, "SPEAKER_00"),
    ("Hi!", 2.0, 2.5, "SPEAKER_01"),
)
TEXT = "[0:00.5 - 0:01.4] SPEAKER_00: Hello there.\n[0:02.0 - 0:02.5] SPEAKER_01: Hi!\n"


@dataclass
class Received:
    """What one call brought."""

    config: gateway_pb2.TranscriptionConfig
    audio: bytearray = field(default_factory=bytearray)
    chunks: int = 0


class FakeGateway(gateway_pb2_grpc.TranscriptionServicer):
    """Recordings whose bytes begin with b"bad", b"busy" or b"half" fail, are refused, or lose their diarization."""

    names = ("speech.gateway.v1.Transcription",)

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.calls: list[Received] = []
        # What each call but TranscribeFile proved its caller with.
        self.authorizations: list[str] = []

    def register(self, server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_TranscriptionServicer_to_server(self, server)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def _note_authorization(self, context: Any) -> None:
        self.authorizations.append(dict(context.invocation_metadata()).get("authorization", ""))

    async def Transcribe(self, request_iterator: Any, context: Any) -> None:
        self._note_authorization(context)
        upload = await Upload.open(request_iterator, context, self.config)
        received = Received(upload.config)
        self.calls.append(received)
        await context.write(event(started=gateway_pb2.TranscriptionStarted(request_id=upload.request_id)))
        async for chunk in upload.chunks():
            received.audio += chunk
            received.chunks += 1
            refuse(received.audio)
            await self._while_uploading(received, context)
        await self._at_the_end(received, context)

    async def _while_uploading(self, received: Received, context: Any) -> None:
        results = received.config.results
        if not results.omit_progress:
            for stage in (gateway_pb2.STAGE_UPLOAD, gateway_pb2.STAGE_ASR):
                await context.write(
                    event(progress=gateway_pb2.StageProgress(stage=stage, processed=duration(1.5)))
                )
        if received.chunks == 1:
            first = segment("s0", *WORDS[:2], final=results.final_only)
            await context.write(event(segment=first))

    async def _at_the_end(self, received: Received, context: Any) -> None:
        partial = received.audio.startswith(b"half")
        for number, words in enumerate((WORDS[:2], WORDS[2:])):
            if number or not (received.config.results.final_only and received.chunks):
                await context.write(event(segment=segment(f"s{number}", *words)))
        await context.write(event(stage_status=stage_status(gateway_pb2.STAGE_ASR)))
        lost = "the diarization replicas are gone" if partial else ""
        await context.write(event(stage_status=stage_status(gateway_pb2.STAGE_DIARIZATION, lost)))
        await context.write(event(completed=completed(partial=partial)))

    async def TranscribeFile(self, request_iterator: Any, context: Any) -> gateway_pb2.TranscribeFileResponse:
        upload = await Upload.open(request_iterator, context, self.config)
        received = Received(upload.config)
        self.calls.append(received)
        async for chunk in upload.chunks():
            received.audio += chunk
        return gateway_pb2.TranscribeFileResponse(
            request_id=upload.request_id,
            segments=[segment("s0", *WORDS[:2]), segment("s1", *WORDS[2:])],
            completed=completed(partial=False),
        )

    async def DescribeTranscription(
        self, request: Any, context: Any
    ) -> gateway_pb2.DescribeTranscriptionResponse:
        self._note_authorization(context)
        described = gateway_pb2.DescribeTranscriptionResponse()
        described.limits.max_concurrent_streams = self.config.max_streams
        described.limits.max_audio_duration.CopyFrom(duration(self.config.max_audio_seconds))
        described.asr.family = "whisper"
        described.asr.languages.append("en")
        described.asr.models.add(
            role="recognition", name="whisper-tiny.en", fingerprint="d3dd57d32acc", license="MIT"
        )
        return described


def refuse(audio: bytearray) -> None:
    if audio.startswith(b"bad"):
        raise InvalidAudio("the bytes are not a recording")
    if audio.startswith(b"busy"):
        raise Overloaded("every place is taken", retry_after=7)


def event(**fields: Any) -> gateway_pb2.TranscribeResponse:
    return gateway_pb2.TranscribeResponse(**fields)


def segment(
    segment_id: str, *words: tuple[str, float, float, str], final: bool = True
) -> gateway_pb2.Segment:
    """Provisional ones are `final=False`: their speaker is not known."""
    speaker = words[0][3] if final else ""
    return gateway_pb2.Segment(
        segment_id=segment_id,
        text_final=True,
        speaker_final=final,
        span=audio_pb2.TimeSpan(start=duration(words[0][1]), end=duration(words[-1][2])),
        speaker=speaker,
        text=" ".join(text for text, *_ in words),
        words=[
            gateway_pb2.AttributedWord(text=text, start=duration(start), end=duration(end), speaker=speaker)
            for text, start, end, _ in words
        ],
    )


def stage_status(stage: gateway_pb2.Stage.ValueType, failure: str = "") -> gateway_pb2.StageStatus:
    status = gateway_pb2.StageStatus(stage=stage, attempts=1)
    if failure:
        status.status.code = grpc.StatusCode.UNAVAILABLE.value[0]
        status.status.message = failure
    return status


def completed(*, partial: bool) -> gateway_pb2.TranscriptionCompleted:
    turns = [{"span": {"start": duration(0.4), "end": duration(1.5)}, "speaker": "SPEAKER_00"}]
    return gateway_pb2.TranscriptionCompleted(
        duration=duration(3),
        speakers=["SPEAKER_00", "SPEAKER_01"],
        segments=2,
        words=3,
        partial=partial,
        turns=turns,
    )


@contextlib.asynccontextmanager
async def fake_gateway(**changes: Any) -> AsyncIterator[tuple[FakeGateway, str]]:
    """The gateway, and the address that it serves at."""
    service = FakeGateway(ServerConfig(drain_seconds=1, **changes))
    async with running(service, service.config) as server:
        await server.wait_serving()
        yield service, server.address
