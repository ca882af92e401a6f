"""The gateway under load, against bare gRPC in Python that takes the same uploads in the same run.

    python -m benchmarks.load [--at-once 1 16 64 200] [--seconds 10] [--formats pcm wav mp3 ogg] [--loads fast paced mixed]
                              [--fronts sink relay gateway] [--json FILE] [-- FLAG…]

Backends are faked (25 words in every 10 s, a turn in every 5 s), and everything is a process of its own: the front, its two
backends, the callers, each of whom has a connection of its own. The fronts take turns under each load:

- sink: a grpc.aio service that takes the upload and drops it; what receiving costs in Python;
- relay: one that hands each message on to both backends and drops their answers; the least that a gateway can do;
- gateway: the real one. What stands behind `--` are more flags for it.

The loads: `fast`, recordings of 60 s, one after the other, each as fast as it is taken in messages of 128 KiB, in each format
and for each number of callers; `paced`, 200 callers in real time with messages of 100 ms, and of 20 ms; `mixed`, 200 callers in
real time, and among them some who read slowly, never, send 4 MiB at a time as fast as they can, or send 20 ms at a time.

Fairness is Jain's index over the bytes a second of each of the equal callers. Prints a table in Markdown.
CPU seconds are the front's for an hour of audio; "to sink" and "to relay" say how many times theirs that is.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.load.figures import HEADER, RULE, Load, row
from benchmarks.load.loads import LOADS, Described, described
from benchmarks.load.measuring import under_load
from benchmarks.load.recordings import FORMATS
from benchmarks.load.stand import FRONTS, standing
from serving import logs


def main() -> None:
    arguments = parsed()
    logs.configure("error", "console")
    loads = list(
        described(
            arguments.loads, at_once=arguments.at_once, seconds=arguments.seconds, formats=arguments.formats
        )
    )
    measured = asyncio.run(_measured(loads, arguments.fronts, arguments.flags))
    print(HEADER, RULE, sep="\n")
    for alike in measured:
        for load in alike:
            print(row(load, alike))
    if arguments.json:
        figures = [asdict(load) for alike in measured for load in alike]
        arguments.json.write_text(json.dumps(figures, indent=1))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--at-once", type=int, nargs="+", default=[1, 16, 64, 200], help="callers, for `fast`"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long callers begin new uploads")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["pcm"], help="for `fast`")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--fronts", nargs="+", choices=FRONTS, default=list(FRONTS))
    parser.add_argument("--json", type=Path, help="where to write every upload")
    parser.add_argument("flags", nargs="*", help="flags for the gateway, behind --")
    return parser.parse_args()


async def _measured(
    loads: Sequence[Described], fronts: Sequence[str], flags: Sequence[str]
) -> list[list[Load]]:
    """Each front under each load, those of one load side by side."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results: list[list[Load]] = []
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as callers,
        Progress(*columns, console=Console(file=sys.stderr)) as progress,
    ):
        task = progress.add_task("", total=sum(len(_fronts(load, fronts)) for load in loads))
        for load in loads:
            alike = []
            for kind in _fronts(load, fronts):
                progress.update(task, description=f"{load.name}, {kind}")
                async with standing(kind, (f"--max-streams={load.callers}", *flags)) as front:
                    alike.append(await under_load(load.name, kind, front, load.plans, callers))
                progress.advance(task)
            results.append(alike)
    return results


def _fronts(load: Described, fronts: Sequence[str]) -> Sequence[str]:
    return fronts if load.comparable else ["gateway"]


if __name__ == "__main__":
    main()
