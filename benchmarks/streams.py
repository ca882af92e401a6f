"""Many recordings at once through the recognition service's gRPC boundary, against one after the other.

    python -m benchmarks.streams [--streams 64] [--files 128] [--model whisper-tiny.en] [--engine ort] [--repeat 1] [-- FLAG…]

The files are short and of real speech: two clips of benchmarks/corpus.py with a pause between them, no two of equal length.
Each way has a service process of its own, warm before the clock starts, on the same cores; what stands behind `--` are
flags for the service. In one run:

- dynamic batching off (`--max-batch 1`) and on (as many utterances as the engine takes);
- in each, the files one after the other, and from so many callers at once, each sending its next file once it has the last
  one's answer.

Latency is from a call's start to its last response. With --repeat the ways take turns, and medians are reported. The last
column counts files whose text differs from that of the first way. Prints a table in Markdown; --json keeps every figure.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import grpc
import numpy as np

from benchmarks.corpus import Samples, clips
from benchmarks.processes import usage
from benchmarks.scraping import ANY_PORT, scraped
from gateway.supervisor import Launch, Services, running_services
from serving.calls import responses
from serving.times import SAMPLE_RATE
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from speech.audio.v1 import audio_pb2

CHUNK_SAMPLES = 32 * 1024
PAUSE_SECONDS = (0.2, 1.2)
WARM_UP_FILES = 4
PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)


@dataclass(frozen=True)
class Way:
    batching: bool
    callers: int

    def __str__(self) -> str:
        return f"batching {'on' if self.batching else 'off'}, {self.callers} at once"


@dataclass(frozen=True)
class Run:
    """All files once. Latencies are in seconds, one a file; `cpu` is the service's CPU time in seconds."""

    audio: float
    wall: float
    cpu: float
    latencies: list[float]
    utterances_a_batch: float
    padding: float
    """Part of the computation that went into padding."""
    texts: list[str]

    @property
    def speed(self) -> float:
        """Audio seconds a second."""
        return self.audio / self.wall

    def latency(self, percent: int) -> float:
        return float(np.percentile(self.latencies, percent))


def main() -> None:
    arguments = parsed()
    flags = [f"--model={arguments.model}", *arguments.flags]
    if arguments.engine:
        flags.append(f"--engine={arguments.engine}")
    files = short_files(arguments.files)
    ways = [Way(batching, callers) for batching in (False, True) for callers in (1, arguments.streams)]
    runs: dict[Way, list[Run]] = {way: [] for way in ways}
    for number in range(arguments.repeat):
        for way in ways:
            print(f"run {number + 1} of {arguments.repeat}: {way}", file=sys.stderr)
            runs[way].append(asyncio.run(recognised(files, way, flags)))
    print(table(files, runs))
    if arguments.json:
        figures = {str(way): [asdict(run) for run in ran] for way, ran in runs.items()}
        arguments.json.write_text(json.dumps(figures, indent=1))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=64, help="callers at once")
    parser.add_argument("--files", type=int, default=128, help="files that each way recognises")
    parser.add_argument("--model", default="whisper-tiny.en", help="as the service takes it")
    parser.add_argument("--engine", help="as the service takes it; by default its own choice")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each way; medians are reported")
    parser.add_argument("--json", type=Path, help="where to write every run")
    parser.add_argument("flags", nargs="*", help="flags for the service, behind --")
    arguments = parser.parse_args()
    if arguments.streams < 2:
        parser.error("--streams must be at least 2: one at a time is measured anyway")
    return arguments


def short_files(count: int) -> list[Samples]:
    """Always the same: pairs of clips with pauses drawn at random between them."""
    random = np.random.default_rng(0)
    spoken = [clip.samples for clip in clips()]
    files = []
    for _ in range(count):
        one, other = random.choice(len(spoken), 2, replace=False)
        pause = np.zeros(round(random.uniform(*PAUSE_SECONDS) * SAMPLE_RATE), np.int16)
        files.append(np.concatenate([spoken[one], pause, spoken[other]]))
    return files


async def recognised(files: Sequence[Samples], way: Way, flags: Sequence[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        arguments = (
            f"--address=unix:{folder}/asr.sock",
            f"--metrics-address={ANY_PORT}",
            f"--max-streams={way.callers}",
            f"--max-batch={0 if way.batching else 1}",
            *flags,
        )
        launch = Launch("asr", "asr_service", arguments)
        async with running_services(
            [launch], directory=Path(folder), sink=lambda _: None, grace_seconds=10
        ) as services:
            return await measured(files, way, services)


async def measured(files: Sequence[Samples], way: Way, services: Services) -> Run:
    [process] = services.processes
    pid, metrics = process.pid, process.announced["metrics_address"]
    async with grpc.aio.insecure_channel(services.addresses["asr"]) as channel:
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        await asyncio.gather(*(recognise(stub, samples) for samples in files[:WARM_UP_FILES][: way.callers]))
        before, used, started = await figures(metrics), usage(pid).cpu_seconds, time.perf_counter()
        answers = await all_recognised(stub, files, way.callers)
        wall = time.perf_counter() - started
        after, cpu = await figures(metrics), usage(pid).cpu_seconds - used
    counted = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return Run(
        audio=sum(map(len, files)) / SAMPLE_RATE,
        wall=wall,
        cpu=cpu,
        latencies=[latency for _, latency in answers],
        utterances_a_batch=counted["batch_utterances_sum"] / counted["batch_utterances_count"],
        padding=1 - counted["audio_seconds_total"] / counted["padded_audio_seconds_total"],
        texts=[text for text, _ in answers],
    )


async def all_recognised(
    stub: "asr_pb2_grpc.SpeechRecognitionAsyncStub", files: Sequence[Samples], callers: int
) -> list[tuple[str, float]]:
    """Text and latency of each file."""
    answers: dict[int, tuple[str, float]] = {}
    left = iter(enumerate(files))

    async def call() -> None:
        for number, samples in left:
            answers[number] = await recognise(stub, samples)

    await asyncio.gather(*(call() for _ in range(callers)))
    return [answers[number] for number in range(len(files))]


async def recognise(stub: "asr_pb2_grpc.SpeechRecognitionAsyncStub", samples: Samples) -> tuple[str, float]:
    started = time.perf_counter()
    texts = [
        response.utterance.text
        async for response in responses(stub.Recognize(upload(samples)))
        if response.HasField("utterance")
    ]
    return " ".join(texts), time.perf_counter() - started


async def upload(samples: Samples) -> AsyncIterator[asr_pb2.RecognizeRequest]:
    audio_format = audio_pb2.AudioFormat(pcm=PCM)
    yield asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(audio_format=audio_format))
    for at in range(0, len(samples), CHUNK_SAMPLES):
        yield asr_pb2.RecognizeRequest(audio=samples[at : at + CHUNK_SAMPLES].tobytes())
    yield asr_pb2.RecognizeRequest(end_of_audio=audio_pb2.EndOfAudio())


async def figures(address: str) -> dict[str, float]:
    """The service's own metrics by their names without prefix."""
    prefix = "duoscribe_asr_"
    return {
        sample.name.removeprefix(prefix): sample.value
        for sample in await asyncio.to_thread(scraped, address)
        if sample.name.startswith(prefix)
    }


def table(files: Sequence[Samples], runs: Mapping[Way, Sequence[Run]]) -> str:
    lengths = [len(samples) / SAMPLE_RATE for samples in files]
    first = next(iter(runs.values()))[0].texts
    repeats = len(next(iter(runs.values())))
    length = f"{min(lengths):.1f} to {max(lengths):.1f} s, {sum(lengths):.0f} s in all"
    lines = [
        f"{len(files)} files of {length}; medians of {repeats}",
        "",
        "| | audio seconds a second | over one at a time | p50, s | p99, s | CPU, s | utterances a batch | padding | other text |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += rows(runs, first)
    on, off = (
        median(run.speed for run in runs[way])
        for batching in (True, False)
        for way in runs
        if way.batching is batching and way.callers > 1
    )
    lines += ["", f"Batching on over off, many at once: {on / off:.2f}"]
    return "\n".join(lines)


def rows(runs: Mapping[Way, Sequence[Run]], first: Sequence[str]) -> Iterator[str]:
    for way, ran in runs.items():
        speed = median(run.speed for run in ran)
        alone = median(run.speed for run in runs[Way(way.batching, 1)])
        other = max(sum(a != b for a, b in zip(run.texts, first, strict=True)) for run in ran)
        figures = [
            f"{speed:.1f}",
            f"{speed / alone:.2f}",
            f"{median(run.latency(50) for run in ran):.2f}",
            f"{median(run.latency(99) for run in ran):.2f}",
            f"{median(run.cpu for run in ran):.1f}",
            f"{median(run.utterances_a_batch for run in ran):.1f}",
            f"{median(run.padding for run in ran):.1%}",
            str(other),
        ]
        yield f"| {way} | {' | '.join(figures)} |"


if __name__ == "__main__":
    main()
