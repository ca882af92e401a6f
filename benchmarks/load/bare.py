"""What the gateway is compared with: gRPC in Python and nothing else, as a process of its own.

    python -m benchmarks.load.bare sink  --address=…
    python -m benchmarks.load.bare relay --address=… --asr=… --diarization=…

Both have the gateway's contract. The sink takes an upload and drops it: what receiving costs. The relay hands each message
on to both backends and drops their answers: what any gateway of two backends has to pay at least, with neither decoding nor
a spool, retries, merging or limits.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from serving.config import ServerConfig
from serving.server import run
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2, diarization_pb2_grpc
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc

_STARTED = gateway_pb2.TranscribeResponse(started=gateway_pb2.TranscriptionStarted())
_COMPLETED = gateway_pb2.TranscribeResponse(completed=gateway_pb2.TranscriptionCompleted())


class Sink(gateway_pb2_grpc.TranscriptionServicer):
    names = ("speech.gateway.v1.Transcription",)

    def register(self, server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_TranscriptionServicer_to_server(self, server)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def Transcribe(  # type: ignore[override]
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeRequest], context: Any
    ) -> None:
        await context.write(_STARTED)
        received = 0
        async for message in request_iterator:
            received += len(message.audio)
        await context.write(_COMPLETED)

    async def TranscribeFile(self, *_: Any) -> gateway_pb2.TranscribeFileResponse:
        return gateway_pb2.TranscribeFileResponse()

    async def DescribeTranscription(self, *_: Any) -> gateway_pb2.DescribeTranscriptionResponse:
        return gateway_pb2.DescribeTranscriptionResponse()


class Relay(Sink):
    def __init__(self, asr: str, diarization: str) -> None:
        self._addresses = (asr, diarization)

    async def start(self) -> None:
        self._channels = [grpc.aio.insecure_channel(address) for address in self._addresses]
        self._asr = asr_pb2_grpc.SpeechRecognitionStub(self._channels[0])
        self._diarization = diarization_pb2_grpc.SpeakerDiarizationStub(self._channels[1])

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def Transcribe(  # type: ignore[override]
        self, request_iterator: AsyncIterator[gateway_pb2.TranscribeRequest], context: Any
    ) -> None:
        await context.write(_STARTED)
        calls: tuple[Any, Any] = (self._asr.Recognize(), self._diarization.Diarize())
        answers = [asyncio.create_task(_drop_answers(call)) for call in calls]
        async for message in request_iterator:
            for call, request in zip(calls, _handed_on(message), strict=True):
                await call.write(request)
        for call in calls:
            await call.done_writing()
        await asyncio.gather(*answers)
        await context.write(_COMPLETED)


async def _drop_answers(call: Any) -> None:
    async for _ in call:
        pass


def _handed_on(message: gateway_pb2.TranscribeRequest) -> tuple[Any, Any]:
    """The message in the words of recognition and of diarization."""
    match message.WhichOneof("message"):
        case "config":
            audio_format = message.config.audio_format
            return (
                asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(audio_format=audio_format)),
                diarization_pb2.DiarizeRequest(
                    config=diarization_pb2.DiarizationConfig(audio_format=audio_format)
                ),
            )
        case "audio":
            audio = message.audio
            return asr_pb2.RecognizeRequest(audio=audio), diarization_pb2.DiarizeRequest(audio=audio)
        case _:
            end = audio_pb2.EndOfAudio()
            return (
                asr_pb2.RecognizeRequest(end_of_audio=end),
                diarization_pb2.DiarizeRequest(end_of_audio=end),
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("sink", "relay"))
    parser.add_argument("--address", required=True)
    parser.add_argument("--asr", default="")
    parser.add_argument("--diarization", default="")
    arguments = parser.parse_args()
    service = Sink() if arguments.kind == "sink" else Relay(arguments.asr, arguments.diarization)
    config = ServerConfig(
        address=arguments.address, max_streams=10_000, drain_seconds=0.0, log_level="warning"
    )
    return run(service, config)


if __name__ == "__main__":
    sys.exit(main())
