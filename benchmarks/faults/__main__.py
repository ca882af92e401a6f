"""Uploads recordings while things go wrong, and compares each transcript with the undisturbed one.

    python -m benchmarks.faults [--recordings 500] [--engines deterministic|real] [--fault NAME …] [--together] [--seed 1]

Two gateways and two replicas of each backend run as processes, each behind a TCP proxy. Faults strike at random moments, one
kind a round, and in the last round any of them; what died is started again. Mostly one replica of a service is struck at a
time, so that there is another to turn to. Callers upload at various speeds, in chunks of various sizes; one in ten cancels, and
one in ten has a deadline too short. A seed gives the same uploads, not the same moments. A round's uploads are counted as

complete            word for word, speaker for speaker and turn for turn as where nothing went wrong
partial             the work of one stage is missing, which the caller had accepted and is told
failed              with a status
ended               cancelled, or past the caller's deadline
left behind         recordings that somebody still works on, or keeps on disk, 20 s after the last call: must be 0
never ended         given up after three minutes: must be 0
silently wrong      anything else: must be 0

The deterministic engines take words and speakers from the samples, so that audio which is lost, repeated or reordered shows.
The real ones are the default models; with them only backends are killed, and all calls have to be complete: nobody cancels.
Prints a table in Markdown.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.corpus import conversation
from benchmarks.deterministic.recordings import recording
from benchmarks.faults.faults import BACKEND_KILLED, FAULTS, NONE, Fault
from benchmarks.faults.replicas import Deployment, deployed
from benchmarks.faults.rounds import Round, Tally
from benchmarks.faults.table import table
from benchmarks.faults.uploads import Caller, Upload, drawn
from benchmarks.faults.verdicts import Kind, Reference, Verdict

_DIFFERENT = 20
_LONGEST_UPLOAD_SECONDS = 10.0
# Shorter than a backend is hung; longer than one at work is silent, which is 10 s at most but for these short recordings.
_FLAGS = {"deterministic": {"gateway": ("--silence-seconds=5",)}, "real": {}}


def main() -> int:
    arguments = _arguments()
    chance = random.Random(arguments.seed)
    with nullcontext(arguments.keep) if arguments.keep else tempfile.TemporaryDirectory() as folder:
        tallies = asyncio.run(_run(arguments, Path(folder), chance))
    print(table(tallies))
    bad = sum(tally.kinds[Kind.WRONG] + tally.kinds[Kind.HUNG] + tally.left_behind for tally in tallies)
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=500, help="uploads in all")
    parser.add_argument("--engines", choices=("deterministic", "real"), default="deterministic")
    parser.add_argument("--fault", action="append", default=[], help="only those whose names hold this")
    parser.add_argument("--together", action="store_true", help="only the round in which any of them strikes")
    parser.add_argument("--at-once", type=int, default=6, help="uploads at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty folder for the processes' logs")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace, folder: Path, chance: random.Random) -> list[Tally]:
    recordings = _recordings(arguments.engines, min(_DIFFERENT, arguments.recordings), chance)
    kinds = _kinds(arguments)
    with _progress() as progress:
        bar = progress.add_task("starting", total=arguments.recordings)

        def tell(found: Verdict) -> None:
            progress.advance(bar)
            if found.kind in {Kind.WRONG, Kind.HUNG}:
                progress.console.print(f"{found.kind.value}: {found.detail}")

        async with deployed(folder, arguments.engines, _FLAGS[arguments.engines]) as deployment:
            references = [await _undisturbed(deployment, pcm) for pcm in recordings]
            rounds = Round(deployment, recordings, references, at_once=arguments.at_once, tell=tell)
            tallies = []
            for faults, count in zip(kinds, _shares(arguments.recordings, len(kinds)), strict=True):
                progress.update(bar, description=faults[0].name if len(faults) == 1 else "any of them")
                uploads = [_drawn(arguments.engines, chance, len(recordings)) for _ in range(count)]
                tallies.append(await rounds.run(faults, uploads, random.Random(chance.random())))
    return tallies


def _recordings(engines: str, count: int, chance: random.Random) -> list[bytes]:
    """16-bit mono at 16 kHz."""
    if engines == "real":
        return [conversation(chance.uniform(8, 16), seed=index).samples.tobytes() for index in range(count)]
    return [recording(chance.randint(1, 4), chance.uniform(3, 45), seed=index) for index in range(count)]


def _kinds(arguments: argparse.Namespace) -> list[Sequence[Fault]]:
    """The faults of each round."""
    if arguments.engines == "real":
        return [[BACKEND_KILLED]]
    wanted = arguments.fault or [""]
    faults = [fault for fault in FAULTS if any(name in fault.name for name in wanted)]
    return [faults] if arguments.together else [[NONE], *([fault] for fault in faults), faults]


def _drawn(engines: str, chance: random.Random, recordings: int) -> Upload:
    upload = drawn(chance, recordings, longest=_LONGEST_UPLOAD_SECONDS)
    if engines == "real":
        return replace(upload, accept_partial=False, cancelled_after=None, deadline=None)
    return upload


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (index < total % parts) for index in range(parts)]


async def _undisturbed(deployment: Deployment, pcm: bytes) -> Reference:
    upload = Upload(
        recording=0,
        seconds=0.0,
        chunk_bytes=64_000,
        as_wav=False,
        whole=True,
        final_only=False,
        accept_partial=False,
    )
    caller = Caller(upload, pcm, deployment.gateways[0].proxy.address)
    await caller.run()
    return Reference.of(caller.transcript)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


if __name__ == "__main__":
    sys.exit(main())
