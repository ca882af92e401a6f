"""Half an hour of mixed load on the gateway: is memory flat, does the event loop answer, does anything fail.

    python -m benchmarks.load.soak [--minutes 30] [--callers 100] [--json FILE] [-- FLAG…]

Most callers upload 20 s in real time, in messages of 100 ms, again and again. Among them are some who send 20 ms at a time, MP3
and Ogg files at several times real time, recordings of minutes that do not fit into the spool's memory, half a WAV file, or read
slowly; one upload in ten is given up in its middle. Backends are faked; the gateway, its decoders and its spool are real.

Prints a line a minute, the gateway's resident memory as a straight line with its confidence interval (the first sixth of the
time is left out: it fills caches), the event loop's lag and how the calls ended. Ends with code 1 where memory grows by more than
2 % an hour, or where a call ended in a way that it should not have.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.load.callers import Generated, Plan, generate
from benchmarks.load.figures import MIB
from benchmarks.load.lag import Lag
from benchmarks.load.loads import planned
from benchmarks.load.recordings import broken, recording
from benchmarks.load.stand import Front, standing
from benchmarks.load.steadiness import trend
from benchmarks.processes import resident_memory, usage, waited_for_core
from serving import logs

_SAMPLE_SECONDS = 2.0
_WARM_UP_SHARE = 1 / 6
# How calls may end: whole, left by their caller, and for halves of files.
_EXPECTED = {"OK", "LEFT", "INVALID_ARGUMENT"}


@dataclass(frozen=True)
class Sample:
    """At a time in seconds: bytes resident in the gateway, and so far CPU seconds of it and its decoders, seconds in which it
    waited for a core, and its lag.
    """

    at: float
    memory: int
    cpu: float
    waited: float
    lag: Lag


@dataclass(frozen=True)
class Soaked:
    samples: list[Sample]
    generated: Generated

    @property
    def settled(self) -> list[Sample]:
        return self.samples[round(len(self.samples) * _WARM_UP_SHARE) :]


def plans(callers: int, seconds: float) -> list[Plan]:
    """Of a hundred callers 80 in real time; of fewer, one of each other kind at least."""
    few = max(1, callers // 50)
    short, long = recording("pcm", 20.0), recording("pcm", 300.0)
    every = {"seconds": seconds, "cancelled": 10, "ramp": 10.0}
    return [
        planned("real time", short, 3200, callers=callers - 10 * few, interval=0.1, **every),
        planned("20 ms a message", short, 640, callers=few, interval=0.02, **every),
        planned("mp3", recording("mp3", 60.0), 16_000, callers=2 * few, interval=0.5, **every),
        planned("ogg", recording("ogg", 60.0), 16_000, callers=2 * few, interval=0.5, **every),
        planned("long", long, 128_000, callers=2 * few, interval=0.5, **every),
        planned("broken", broken(20.0), 32_000, callers=2 * few, interval=0.5, **every),
        planned("slow reader", short, 3200, callers=few, interval=0.1, read_interval=0.5, **every),
    ]


async def soaked(callers: int, seconds: float, flags: Sequence[str]) -> Soaked:
    # Who goes away and comes again may be there before the gateway knows that it went.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        async with standing("gateway", (f"--max-streams={2 * callers}", *flags)) as front:
            sent = [replace(plan, address=front.address) for plan in plans(callers, seconds)]
            load = asyncio.get_running_loop().run_in_executor(pool, generate, sent)
            samples = await _watched(front, load, seconds)
            return Soaked(samples, await load)


async def _watched(front: Front, load: "asyncio.Future[Generated]", seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    started = time.monotonic()
    with Progress(console=Console(file=sys.stderr)) as progress:
        task = progress.add_task("soaking", total=seconds)
        while not load.done() and (at := time.monotonic() - started) < seconds:
            lag = await asyncio.to_thread(Lag.told_at, front.metrics or "")
            used = usage(front.pid).cpu_seconds
            samples.append(Sample(at, resident_memory(front.pid), used, waited_for_core(front.pid), lag))
            progress.update(task, completed=at)
            await asyncio.wait({load}, timeout=_SAMPLE_SECONDS)
    return samples


def minutes(soaked: Soaked) -> list[str]:
    """A line of the table for each."""
    lines = [
        "| minute | MiB | CPU, cores | waiting for a core | lag p99, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    spans: dict[int, list[Sample]] = {}
    for sample in soaked.samples:
        spans.setdefault(int(sample.at // 60), []).append(sample)
    for minute, span in spans.items():
        first, last = span[0], span[-1]
        memory = sum(sample.memory for sample in span) / len(span) / MIB
        lasted = max(1e-9, last.at - first.at)
        cores, waited = (last.cpu - first.cpu) / lasted, (last.waited - first.waited) / lasted
        lag = last.lag.since(first.lag).quantile(0.99) * 1000
        lines.append(f"| {minute} | {memory:.1f} | {cores:.2f} | {waited:.0%} | {lag:.0f} |")
    return lines


def verdict(soaked: Soaked) -> tuple[list[str], bool]:
    """What it came to, and whether that is well."""
    settled = soaked.settled
    memory = trend([sample.at for sample in settled], [sample.memory / MIB for sample in settled])
    lag = settled[-1].lag.since(settled[0].lag)
    codes = Counter(outcome.code for outcome in soaked.generated.outcomes)
    lines = [
        f"memory: {memory.mean:.1f} MiB, {memory.slope:+.2f} MiB an hour (95 %: {memory.low:+.2f} to {memory.high:+.2f})",
        f"event loop lag: p50 {lag.quantile(0.5) * 1000:.1f} ms, p99 {lag.quantile(0.99) * 1000:.0f} ms",
        f"within 50 ms: {lag.share_within(0.05):.2%}",
        "calls: " + ", ".join(f"{count} {code}" for code, count in codes.most_common()),
    ]
    return lines, memory.is_flat and set(codes) <= _EXPECTED


def main() -> int:
    arguments = parsed()
    logs.configure("error", "console")
    result = asyncio.run(soaked(arguments.callers, arguments.minutes * 60, arguments.flags))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(result), indent=1))
    lines, well = verdict(result)
    print(*minutes(result), "", *lines, sep="\n")
    return 0 if well else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="4 at least: memory needs three after warming up"
    )
    parser.add_argument("--callers", type=int, default=100, help="recordings at once, 20 at least")
    parser.add_argument("--json", type=Path, help="where to write every sample and upload")
    parser.add_argument("flags", nargs="*", help="flags for the gateway, behind --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
