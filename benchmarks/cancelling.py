"""For how long both backends compute on for a caller who has gone, by what they tell Prometheus.

    python -m benchmarks.cancelling [--recordings 12] [--seconds 300] [--seed 0]

The three services run with their default models, each in a process of its own. A real conversation is uploaded as fast as it
is taken, and its caller leaves at a random moment; one after the other. Prints how often each part was computing at that
moment, for how long it went on, and what its batches take.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks.corpus import Samples, conversation
from benchmarks.scraping import ANY_PORT, scraped
from gateway.client import TranscriptionClient, configuration
from gateway.supervisor import Launch, running_services
from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

PCM = audio_pb2.PcmFormat(encoding=audio_pb2.PCM_ENCODING_S16LE, sample_rate_hz=SAMPLE_RATE, channels=1)
CHUNK_SAMPLES = 32_000
BACKENDS = ("asr", "diarization")
# When callers leave, in seconds from the call's beginning.
EARLIEST, LATEST = 2.0, 12.0
# Longer than a batch takes on two busy cores, so that each round is told by itself.
SETTLED_SECONDS = 20.0

# Of a histogram: its name, and its stage where it has one.
Series: TypeAlias = tuple[str, str]
Figures: TypeAlias = Mapping[tuple[str, str], float]

_ASR, _DIARIZATION = "duoscribe_asr_compute", "duoscribe_diarization_compute"


@dataclass
class Part:
    """What computes."""

    name: str
    after: Series
    """Seconds after a cancellation."""
    batches: tuple[Series, ...]
    """Seconds of each batch."""
    went_on: list[float] = field(default_factory=list)
    """After each cancellation that it was computing for."""
    mean_batch: float = 0.0
    """Seconds."""
    longest_batch: float = 0.0
    """Seconds, at most."""


def parts() -> Sequence[Part]:
    return (
        Part("recognition", (f"{_ASR}_after_cancel_seconds", ""), ((f"{_ASR}_seconds", ""),)),
        Part(
            "segmentation and embedding",
            (f"{_DIARIZATION}_after_cancel_seconds", "networks"),
            ((f"{_DIARIZATION}_seconds", "segmentation"), (f"{_DIARIZATION}_seconds", "embedding")),
        ),
        Part(
            "clustering",
            (f"{_DIARIZATION}_after_cancel_seconds", "clustering"),
            ((f"{_DIARIZATION}_seconds", "clustering"),),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=12, help="how many are cancelled")
    parser.add_argument("--seconds", type=float, default=300, help="length of the recording")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    samples = conversation(arguments.seconds).samples
    moments = random.Random(arguments.seed)
    leaving = [moments.uniform(EARLIEST, LATEST) for _ in range(arguments.recordings)]
    print(table(asyncio.run(measured(samples, leaving)), len(leaving)))


async def measured(samples: Samples, leaving: Sequence[float]) -> Sequence[Part]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_services(
                launches(Path(folder)), directory=Path(folder), sink=lambda _: None, grace_seconds=10
            ) as services,
            TranscriptionClient(services.addresses["gateway"]) as client,
        ):
            backends = [process for process in services.processes if process.name in BACKENDS]
            metrics = [process.announced["metrics_address"] for process in backends]
            return await rounds(client, samples, leaving, metrics)


def launches(folder: Path) -> Sequence[Launch]:
    sockets = {name: f"unix:{folder / name}.sock" for name in (*BACKENDS, "gateway")}
    backends = [
        Launch(name, f"{name}_service", (f"--address={sockets[name]}", f"--metrics-address={ANY_PORT}"))
        for name in BACKENDS
    ]
    flags = [f"--{name}={address}" for name, address in sockets.items() if name != "gateway"]
    return (*backends, Launch("gateway", "gateway", (f"--address={sockets['gateway']}", *flags)))


async def rounds(
    client: TranscriptionClient, samples: Samples, leaving: Sequence[float], metrics: Sequence[str]
) -> Sequence[Part]:
    found, before = parts(), await all_figures(metrics)
    for number, seconds in enumerate(leaving, 1):
        print(f"{number} of {len(leaving)}: leaves after {seconds:.1f} s", file=sys.stderr)
        await cancelled(client, samples, seconds)
        await asyncio.sleep(SETTLED_SECONDS)
        after = await all_figures(metrics)
        for part in found:
            part.went_on += gone_on(part.after, before, after)
        before = after
    for part in found:
        part.mean_batch = max(mean(series, before) for series in part.batches)
        part.longest_batch = max(longest(series, before) for series in part.batches)
    return found


async def cancelled(client: TranscriptionClient, samples: Samples, seconds: float) -> None:
    async with aclosing(client.transcribe(upload(samples), configuration(pcm=PCM))) as events:
        try:
            async with asyncio.timeout(seconds):
                async for _ in events:
                    pass
        except TimeoutError:
            return
    raise RuntimeError("the recording was done before its caller left; make it longer with --seconds")


async def upload(samples: Samples) -> AsyncIterator[bytes]:
    for start in range(0, len(samples), CHUNK_SAMPLES):
        yield samples[start : start + CHUNK_SAMPLES].tobytes()


async def all_figures(addresses: Sequence[str]) -> Figures:
    """Every histogram's parts by name and stage; a bucket's name ends in its bound."""
    figures = {}
    for address in addresses:
        for sample in await asyncio.to_thread(scraped, address):
            name = sample.name + sample.labels.get("le", "")
            figures[name, sample.labels.get("stage", "")] = sample.value
    return figures


def gone_on(series: Series, before: Figures, after: Figures) -> list[float]:
    """Seconds of one round, if it was counted in: the mean of the utterances that were in a batch."""
    name, stage = series
    count, total = (
        after.get((name + part, stage), 0.0) - before.get((name + part, stage), 0.0)
        for part in ("_count", "_sum")
    )
    return [total / count] if count else []


def mean(series: Series, figures: Figures) -> float:
    """0 where there was none."""
    name, stage = series
    count = figures.get((f"{name}_count", stage), 0.0)
    return figures[f"{name}_sum", stage] / count if count else 0.0


def longest(series: Series, figures: Figures) -> float:
    """The bound of the bucket that holds the longest; infinite beyond the last, 0 where there was none."""
    name, stage = series
    count = figures.get((f"{name}_count", stage), 0.0)
    bounds = [
        float(key.removeprefix(f"{name}_bucket"))
        for (key, of_stage), value in figures.items()
        if of_stage == stage and key.startswith(f"{name}_bucket") and value == count
    ]
    return min(bounds) if count else 0.0


def table(found: Sequence[Part], recordings: int) -> str:
    lines = [
        f"{recordings} recordings cancelled",
        "",
        "| part | was computing | went on, median | longest | a batch, mean | longest, at most |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for part in found:
        median, most = (statistics.median(part.went_on), max(part.went_on)) if part.went_on else (None, None)
        cells = (
            part.name,
            len(part.went_on),
            *map(told, (median, most, part.mean_batch, part.longest_batch)),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def told(seconds: float | None) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds else "none"


if __name__ == "__main__":
    main()
