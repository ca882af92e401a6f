"""Sends services what could break their decoders, and counts how it ended.

    python -m benchmarks.hostile_input [--cases 10000] [--seed 1] [--at-once 8] [--first 0]

The cases are files and uploads (benchmarks/hostile_input/files.py, uploads.py): recordings of every format, cut, flipped,
spliced, with wrong lengths, nested boxes, silence that costs nothing; noise behind the first bytes of every format; and
messages in any order. Recognition and diarization run as processes of their own, with engines that compute next to nothing;
everything else is what is deployed. Four in five cases go to recognition, the others to the gateway before both.

Cases are drawn with a seed and not by a coverage-guided fuzzer: what would have to be instrumented is FFmpeg, which comes
built. Each case has a number, by which it can be sent again alone (--first N --cases 1), so nothing has to be shrunk.

Prints the statuses, decoders that died and of what, services that crashed and calls that hung or met a bug (these three must
be 0: else the exit code is 1), and the highest memory of a service and of a decoder.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.hostile_input.sending import Outcomes, gateway_at, recognition_at, send_all
from benchmarks.hostile_input.watching import DecoderDeaths, Memory
from gateway.private_directory import private_directory
from gateway.supervisor import Launch, ServiceDied, running_services

_FLAGS = ("--max-streams=64", "--log-format=json")


def main() -> int:
    arguments = _arguments()
    outcomes, deaths, memory = Outcomes(), DecoderDeaths(), Memory()
    crash = ""
    try:
        asyncio.run(_run(arguments, outcomes, deaths, memory))
    except* ServiceDied as died:
        crash = str(died.exceptions[0])
    for line in _lines(outcomes, deaths, memory, crash):
        print(line)
    return 1 if crash or outcomes.hung or outcomes.bugs else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    return parser.parse_args()


async def _run(
    arguments: argparse.Namespace, outcomes: Outcomes, deaths: DecoderDeaths, memory: Memory
) -> None:
    with private_directory() as folder, tempfile.TemporaryDirectory() as spool:
        launches = _launches(folder, spool)
        async with running_services(
            launches, directory=folder, sink=deaths.read, grace_seconds=10
        ) as services:
            watching = asyncio.create_task(memory.watch({p.name: p.pid for p in services.processes}))
            cases = range(arguments.first, arguments.first + arguments.cases)
            asr, gateway = (services.addresses[name] for name in ("asr", "gateway"))
            targets = (*[recognition_at(asr)] * 4, gateway_at(gateway))
            await services.while_alive(
                send_all(targets, cases, outcomes, seed=arguments.seed, at_once=arguments.at_once)
            )
            watching.cancel()


def _launches(folder: Path, spool: str) -> tuple[Launch, ...]:
    asr, diarization = f"unix:{folder}/asr.sock", f"unix:{folder}/diarization.sock"
    backends = ("--asr", asr, "--diarization", diarization, "--spool-directory", spool)
    front = f"unix:{folder}/gateway.sock"
    return (
        Launch("asr", "benchmarks.deterministic.asr", ("--address", asr, *_FLAGS)),
        Launch("diarization", "benchmarks.deterministic.diarization", ("--address", diarization, *_FLAGS)),
        Launch("gateway", "gateway", ("--address", front, *backends, *_FLAGS)),
    )


def _lines(outcomes: Outcomes, deaths: DecoderDeaths, memory: Memory, crash: str) -> list[str]:
    """A table in Markdown."""
    return [
        "| outcome | cases |",
        "| --- | --- |",
        *(f"| {status} | {count:,} |" for status, count in outcomes.statuses.most_common()),
        f"| calls that hung | {len(outcomes.hung)} {outcomes.hung or ''} |",
        f"| calls that met a bug | {len(outcomes.bugs)} {outcomes.bugs or ''} |",
        f"| services that crashed | {1 if crash else 0} {crash} |",
        *(f"| decoders that died of {name} | {count:,} |" for name, count in deaths.counts.most_common()),
        *(f"| highest memory of {name}, MiB | {peak / 2**20:.0f} |" for name, peak in memory.peaks.items()),
    ]


if __name__ == "__main__":
    sys.exit(main())
