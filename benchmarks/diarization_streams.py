"""Many recordings at once through the diarization service's gRPC boundary: how fast, and how soon after the last byte?

    python -m benchmarks.diarization_streams [--seconds 120] [--at-once 1 8] [--real-time] [--pack FILE.npz] [-- FLAG…]

One service process with its workers, warm before the clock starts; what stands behind `--` are flags for it. A joined
conversation is uploaded by one caller, then copies of it by so many at once, as fast as they are taken or, with
`--real-time`, as fast as they sound. Prints a table in Markdown: audio seconds a second; from a call's start to its first
turns; from its last byte to its last response, also as a share of what the recording took to compute; CPU seconds and
highest memory, each of the service and its workers together; memory taken on GPUs; windows in a batch. Last, whether all answers were the same.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import grpc

from benchmarks.conversations import converse
from benchmarks.corpus import Samples
from benchmarks.packing import Pack
from benchmarks.processes import gpu_memory, usage
from benchmarks.scraping import ANY_PORT, scraped
from gateway.supervisor import Launch, Services, running_services
from serving.calls import responses
from serving.times import SAMPLE_RATE, seconds
from speech.audio.v1.audio_pb2 import PCM_ENCODING_S16LE, AudioFormat, EndOfAudio, PcmFormat
from speech.diarization.v1 import diarization_pb2_grpc
from speech.diarization.v1.diarization_pb2 import DiarizationConfig, DiarizeRequest, DiarizeResponse

PCM = AudioFormat(pcm=PcmFormat(encoding=PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1))
# As sound is uploaded while it is recorded, and as the gateway sends what it has.
CHUNK_SECONDS, PIECE_SECONDS = 0.5, 2.0
WARM_SECONDS = 20


@dataclass
class Call:
    """One recording's; times on `time.perf_counter`."""

    started: float
    first_turns: float = 0.0
    last_byte: float = 0.0
    ended: float = 0.0
    compute_seconds: float = 0.0
    turns: int = 0
    voices: tuple[tuple[str, float], ...] = ()
    """Of the final answer: each speaker's name and seconds."""

    def take(self, response: DiarizeResponse) -> None:
        now = time.perf_counter()
        if response.turns.turns:
            self.first_turns = self.first_turns or now
        elif response.HasField("completed"):
            completed = response.completed
            self.compute_seconds = seconds(completed.timing.compute_duration)
            self.turns = completed.turns
            self.voices = tuple((voice.label, seconds(voice.speech_duration)) for voice in completed.voices)
            self.ended = now


def main() -> None:
    arguments = parsed()
    join = Pack(arguments.pack).converse if arguments.pack else partial(converse)
    recording = join(arguments.seconds, arguments.speakers, seed=0)
    print(f"{recording.name}: {recording.seconds:.0f} s{', in real time' if arguments.real_time else ''}\n")
    asyncio.run(measured(recording.samples, arguments))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120, help="length of the recording")
    parser.add_argument("--speakers", type=int, default=3)
    parser.add_argument("--pack", type=Path, help="recordings packed by benchmarks.packing")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8], help="callers")
    parser.add_argument("--real-time", action="store_true", help="upload as fast as it sounds")
    parser.add_argument("flags", nargs="*", help="flags for the service, behind --")
    return parser.parse_args()


async def measured(samples: Samples, arguments: argparse.Namespace) -> None:
    most = str(max(arguments.at_once))
    with tempfile.TemporaryDirectory() as folder:
        flags = (
            f"--address=unix:{folder}/diarization.sock",
            f"--metrics-address={ANY_PORT}",
            f"--max-streams={most}",
            f"--recordings={most}",
            *arguments.flags,
        )
        async with running_services(
            [Launch("diarization", "diarization_service", flags)],
            directory=Path(folder),
            sink=lambda _: None,
            grace_seconds=10,
        ) as services:
            await report(services, samples, arguments)


async def report(services: Services, samples: Samples, arguments: argparse.Namespace) -> None:
    [process] = services.processes
    pid, metrics = process.pid, process.announced["metrics_address"]
    audio = samples.tobytes()
    answers = set()
    print(
        "| at once | audio s/s | first turns, s | after the last byte, s | of computing | CPU, s | memory, MB | on GPUs, MB | windows |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    async with grpc.aio.insecure_channel(services.addresses["diarization"]) as channel:
        diarize = partial(
            diarized, diarization_pb2_grpc.SpeakerDiarizationStub(channel), real_time=arguments.real_time
        )
        await diarize(audio[: 2 * SAMPLE_RATE * WARM_SECONDS])
        for at_once in arguments.at_once:
            before, used, started = await batches(metrics), usage(pid).cpu_seconds, time.perf_counter()
            calls = await asyncio.gather(*(diarize(audio) for _ in range(at_once)))
            wall = time.perf_counter() - started
            spent, after = usage(pid), await batches(metrics)
            answers |= {(call.turns, call.voices) for call in calls}
            waits = [call.ended - call.last_byte for call in calls]
            shares = [wait / call.compute_seconds for wait, call in zip(waits, calls, strict=True)]
            print(
                f"| {at_once} | {at_once * len(samples) / SAMPLE_RATE / wall:.1f} "
                f"| {median(call.first_turns - call.started for call in calls):.2f} "
                f"| {median(waits):.2f}, at most {max(waits):.2f} | {median(shares):.1%} "
                f"| {spent.cpu_seconds - used:.1f} | {spent.peak_memory_bytes / 1e6:.0f} "
                f"| {gpu_memory() / 1e6:.0f} "
                f"| {(after[0] - before[0]) / (after[1] - before[1]):.1f} |"
            )
    print(f"\nturns and each speaker's seconds are the same in all answers: {len(answers) == 1}")


async def diarized(
    stub: "diarization_pb2_grpc.SpeakerDiarizationAsyncStub", audio: bytes, *, real_time: bool
) -> Call:
    call = Call(time.perf_counter())
    async for response in responses(stub.Diarize(upload(audio, call, real_time=real_time))):
        call.take(response)
    return call


async def upload(audio: bytes, call: Call, *, real_time: bool) -> AsyncIterator[DiarizeRequest]:
    yield DiarizeRequest(config=DiarizationConfig(audio_format=PCM))
    chunk = CHUNK_SECONDS if real_time else PIECE_SECONDS
    size = round(2 * SAMPLE_RATE * chunk)
    for number, at in enumerate(range(0, len(audio), size), start=1):
        if real_time:
            await asyncio.sleep(call.started + number * chunk - time.perf_counter())
        yield DiarizeRequest(audio=audio[at : at + size])
    call.last_byte = time.perf_counter()
    yield DiarizeRequest(end_of_audio=EndOfAudio())


async def batches(address: str) -> tuple[float, float]:
    """Windows segmented so far, and in how many batches."""
    found = {
        sample.name: sample.value
        for sample in await asyncio.to_thread(scraped, address)
        if sample.labels.get("stage") == "segmentation"
    }
    name = "duoscribe_diarization_batch_items"
    return found[f"{name}_sum"], found[f"{name}_count"]


if __name__ == "__main__":
    main()
