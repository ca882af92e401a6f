"""How much memory the gateway needs for a recording of hours.

    python -m benchmarks.long_upload [--hours 4]

Engines are faked, so that hours pass in minutes: recognition "hears" 25 words in every 10 s, diarization a turn in every
5 s, known at the end. The gateway is the real one, in a process of its own, and so are its sockets and its spool. Prints
the gateway's resident memory before the upload, its highest during it, and the growth.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.processes import resident_memory
from gateway.client import Transcript, TranscriptionClient, configuration
from gateway.supervisor import Launch, running_services
from serving import logs
from serving.config import ServerConfig
from serving.server import running
from serving.times import SAMPLE_RATE, duration
from serving.upload import Upload
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2, diarization_pb2_grpc

BYTES_PER_SECOND = 2 * SAMPLE_RATE
UTTERANCE_SECONDS = 10
WORDS = 25
TURN_SECONDS = 5
PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)


class FakeRecognition(asr_pb2_grpc.SpeechRecognitionServicer):
    names = ("speech.asr.v1.SpeechRecognition",)

    def register(self, server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(self, server)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def Recognize(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        upload: Upload[Any] = await Upload.open(request_iterator, context, ServerConfig())
        await context.write(asr_pb2.RecognizeResponse(started=asr_pb2.RecognitionStarted()))
        received, sent = 0, 0
        async for chunk in upload.chunks():
            received += len(chunk)
            while (sent + 1) * UTTERANCE_SECONDS * BYTES_PER_SECOND <= received:
                await context.write(asr_pb2.RecognizeResponse(utterance=utterance(sent)))
                sent += 1
                until = duration(sent * UTTERANCE_SECONDS)
                progress = asr_pb2.RecognitionProgress(received=until, processed=until)
                await context.write(asr_pb2.RecognizeResponse(progress=progress))
        completed = asr_pb2.RecognitionCompleted(utterances=sent, words=sent * WORDS)
        await context.write(asr_pb2.RecognizeResponse(completed=completed))

    async def DescribeRecognition(self, *_: Any) -> asr_pb2.DescribeRecognitionResponse:
        return asr_pb2.DescribeRecognitionResponse()


class FakeDiarization(diarization_pb2_grpc.SpeakerDiarizationServicer):
    names = ("speech.diarization.v1.SpeakerDiarization",)

    def register(self, server: grpc.aio.Server) -> None:
        diarization_pb2_grpc.add_SpeakerDiarizationServicer_to_server(self, server)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def Diarize(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        upload: Upload[Any] = await Upload.open(request_iterator, context, ServerConfig())
        started = diarization_pb2.DiarizationStarted()
        await context.write(diarization_pb2.DiarizeResponse(started=started))
        received = sum([len(chunk) async for chunk in upload.chunks()])
        known = [turn(number) for number in range(received // BYTES_PER_SECOND // TURN_SECONDS)]
        end = duration(received / BYTES_PER_SECOND)
        update = diarization_pb2.TurnsUpdate(
            turns=known, exclusive_turns=known, horizon=end, final_horizon=end
        )
        await context.write(diarization_pb2.DiarizeResponse(turns=update))
        completed = diarization_pb2.DiarizationCompleted(
            speakers=["SPEAKER_00", "SPEAKER_01"], turns=len(known)
        )
        await context.write(diarization_pb2.DiarizeResponse(completed=completed))

    async def DescribeDiarization(self, *_: Any) -> diarization_pb2.DescribeDiarizationResponse:
        return diarization_pb2.DescribeDiarizationResponse()


def utterance(index: int) -> asr_pb2.Utterance:
    start, step = index * UTTERANCE_SECONDS, UTTERANCE_SECONDS / WORDS
    words = [
        asr_pb2.Word(
            text=f"word{number}",
            start=duration(start + number * step),
            end=duration(start + (number + 0.9) * step),
            timing=asr_pb2.WORD_TIMING_MEASURED,
        )
        for number in range(WORDS)
    ]
    span = audio_pb2.TimeSpan(start=duration(start), end=duration(start + UTTERANCE_SECONDS))
    return asr_pb2.Utterance(index=index, span=span, words=words)


def turn(number: int) -> diarization_pb2.Turn:
    span = audio_pb2.TimeSpan(
        start=duration(number * TURN_SECONDS), end=duration((number + 1) * TURN_SECONDS)
    )
    return diarization_pb2.Turn(span=span, speaker=f"SPEAKER_{number // 3 % 2:02d}")


@dataclass(frozen=True)
class Memory:
    """The gateway's resident memory, in bytes, and what it made of the recording."""

    before: int
    highest: int
    words: int


async def measure(hours: float) -> Memory:
    config = ServerConfig(address="127.0.0.1:0", max_audio_seconds=100 * 3600)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running(FakeRecognition(), config) as asr,
            running(FakeDiarization(), config) as diarization,
        ):
            await asyncio.gather(asr.wait_serving(), diarization.wait_serving())
            arguments = (
                "--address=127.0.0.1:0",
                f"--asr={asr.address}",
                f"--diarization={diarization.address}",
                f"--spool-directory={folder}",
                f"--max-audio-seconds={100 * 3600}",
            )
            launch = Launch("gateway", "gateway", arguments)
            async with running_services(
                [launch], directory=Path(folder), sink=lambda _: None, grace_seconds=10
            ) as services:
                return await watched(hours, services.addresses["gateway"], services.processes[0].pid)


async def watched(hours: float, address: str, pid: int) -> Memory:
    async with TranscriptionClient(address) as client:
        await transcribe(client, 60)  # Imports and arenas that the first recording brings are not its own.
        before = resident_memory(pid)
        transcription = asyncio.create_task(transcribe(client, hours * 3600))
        highest = before
        while not transcription.done():
            highest = max(highest, resident_memory(pid))
            await asyncio.sleep(0.05)
        transcript = await transcription
    words = transcript.completed.words if transcript.completed else 0
    return Memory(before, highest, words)


async def transcribe(client: TranscriptionClient, seconds: float) -> Transcript:
    transcript = Transcript()
    async for event in client.transcribe(noise(seconds), configuration(pcm=PCM)):
        transcript.apply(event)
    return transcript


async def noise(seconds: float) -> AsyncIterator[bytes]:
    """So many seconds of the same second, in chunks of one."""
    second = bytes(range(256)) * (BYTES_PER_SECOND // 256)
    for _ in range(round(seconds)):
        yield second


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=4.0)
    hours = parser.parse_args().hours
    logs.configure("warning", "console")
    memory = asyncio.run(measure(hours))
    print("| recording | words | before, MiB | highest, MiB | growth, MiB |")
    print("| --- | --- | --- | --- | --- |")
    before, highest = memory.before / 2**20, memory.highest / 2**20
    print(f"| {hours:g} h | {memory.words} | {before:.1f} | {highest:.1f} | {highest - before:.1f} |")


if __name__ == "__main__":
    main()
