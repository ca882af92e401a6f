"""Duoscribe through its gateway against the same models run by a plain script, one stage after the other.

    python -m benchmarks.pipeline [--seconds 300] [--threads 2] [--repeat 1]

Both transcribe the same recording, joined from real clips with exact references (benchmarks/corpus.py): (a)
benchmarks/sequential.py; (b) the three services as separate processes, the recording uploaded through the gateway as fast
as it takes it. Models are loaded and warm before either clock starts. With --repeat the two take turns. Prints a table in
Markdown; --json keeps every figure.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.answers import attributed_words, found_turns
from benchmarks.corpus import Recording, Turn, conversation
from benchmarks.der import diarization_error_rate
from benchmarks.processes import usage
from benchmarks.scoring import cp_word_error_rate, word_error_rate
from gateway.client import Transcript, TranscriptionClient, configuration, read_file
from gateway.supervisor import Launch, Services, running_services


@dataclass(frozen=True)
class Run:
    """One transcription. Times are in seconds from its start; None where the way of working has no such moment."""

    wall: float
    cpu: float
    first_text: float
    first_final_speaker: float
    peak_memory: dict[str, int]
    wer: float
    cp_wer: float
    der: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="length of the recording")
    parser.add_argument("--threads", type=int, default=2, help="threads of each stage, in both ways")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each way; medians are reported")
    parser.add_argument("--json", type=Path, help="where to write every run")
    arguments = parser.parse_args()
    recording = conversation(arguments.seconds)
    runs: dict[str, list[Run]] = {"sequential": [], "duoscribe": []}
    with tempfile.TemporaryDirectory() as folder:
        path = recording.write_wav(Path(folder) / "conversation.wav")
        for number in range(arguments.repeat):
            print(f"run {number + 1} of {arguments.repeat}: sequential", file=sys.stderr)
            runs["sequential"].append(sequential(recording, path, arguments.threads))
            print(f"run {number + 1} of {arguments.repeat}: duoscribe", file=sys.stderr)
            runs["duoscribe"].append(asyncio.run(duoscribe(recording, path, arguments.threads)))
    print(table(recording, runs["sequential"], runs["duoscribe"]))
    if arguments.json:
        arguments.json.write_text(
            json.dumps({way: [asdict(run) for run in ran] for way, ran in runs.items()}, indent=1)
        )


def sequential(recording: Recording, path: Path, threads: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.sequential", str(path), f"--threads={threads}"]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    attributed = [(speaker, text) for speaker, text in result["attributed"]]
    turns = [Turn(**turn) for turn in result["turns"]]
    return Run(
        wall=result["wall_seconds"],
        cpu=result["cpu_seconds"],
        first_text=result["first_words_seconds"],
        # The script knows no speaker before it knows them all.
        first_final_speaker=result["wall_seconds"],
        peak_memory={"script": result["peak_memory_bytes"]},
        **rates(recording, attributed, turns),
    )


async def duoscribe(recording: Recording, path: Path, threads: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        async with running_services(
            launches(Path(folder), threads), directory=Path(folder), sink=lambda _: None, grace_seconds=10
        ) as services:
            return await measured(recording, path, services)


def launches(folder: Path, threads: int) -> Sequence[Launch]:
    sockets = {name: f"unix:{folder / name}.sock" for name in ("asr", "diarization", "gateway")}
    stage = f"--threads={threads}"
    return (
        Launch("asr", "asr_service", (f"--address={sockets['asr']}", stage)),
        Launch("diarization", "diarization_service", (f"--address={sockets['diarization']}", stage)),
        Launch(
            "gateway",
            "gateway",
            (
                f"--address={sockets['gateway']}",
                f"--asr={sockets['asr']}",
                f"--diarization={sockets['diarization']}",
            ),
        ),
    )


async def measured(recording: Recording, path: Path, services: Services) -> Run:
    pids = {process.name: process.pid for process in services.processes}
    used_before = sum(usage(pid).cpu_seconds for pid in pids.values())
    own_before, started = time.process_time(), time.monotonic()
    transcript = Transcript()
    first_text = first_final = 0.0
    async with TranscriptionClient(services.addresses["gateway"]) as client:
        async for event in client.transcribe(read_file(path), configuration(name=path.name)):
            transcript.apply(event)
            if event.HasField("segment"):
                first_text = first_text or time.monotonic() - started
                if event.segment.speaker_final:
                    first_final = first_final or time.monotonic() - started
    wall = time.monotonic() - started
    used = {name: usage(pid) for name, pid in pids.items()}
    client_cpu = time.process_time() - own_before
    return Run(
        wall=wall,
        cpu=sum(each.cpu_seconds for each in used.values()) - used_before + client_cpu,
        first_text=first_text,
        first_final_speaker=first_final,
        peak_memory={name: each.peak_memory_bytes for name, each in used.items()},
        **rates(recording, attributed_words(transcript), found_turns(transcript)),
    )


def rates(
    recording: Recording, attributed: Sequence[tuple[str, str]], turns: Iterable[Turn]
) -> dict[str, Any]:
    return {
        "wer": word_error_rate(recording, " ".join(text for _, text in attributed)),
        "cp_wer": cp_word_error_rate(recording, attributed),
        "der": diarization_error_rate(recording, turns),
    }


def table(recording: Recording, baseline: Sequence[Run], ours: Sequence[Run]) -> str:
    """Medians side by side, and ours over the baseline's where a ratio says something."""
    speakers = len({turn.speaker for turn in recording.turns})
    words = sum(len(sentence.text.split()) for sentence in recording.sentences)
    lines = [
        f"{recording.seconds:.0f} s, {speakers} speakers, {words} words; medians of {len(ours)}",
        "",
        "| | (a) one after the other | (b) Duoscribe | (b)/(a) |",
        "| --- | --- | --- | --- |",
    ]
    for title, field in (
        ("wall time, s", "wall"),
        ("CPU time, s", "cpu"),
        ("first text, s", "first_text"),
        ("first final speaker, s", "first_final_speaker"),
    ):
        a, b = (median(getattr(run, field) for run in runs) for runs in (baseline, ours))
        lines.append(f"| {title} | {a:.1f} | {b:.1f} | {b / a:.3f} |")
    for title, field in (("WER", "wer"), ("cpWER", "cp_wer"), ("DER", "der")):
        a, b = (median(getattr(run, field) for run in runs) for runs in (baseline, ours))
        lines.append(f"| {title} | {a:.1%} | {b:.1%} | |")
    for name in ours[0].peak_memory:
        mebibytes = median(run.peak_memory[name] for run in ours) / 2**20
        lines.append(f"| peak memory, {name}, MiB | | {mebibytes:.0f} | |")
    script = median(run.peak_memory["script"] for run in baseline) / 2**20
    lines.append(f"| peak memory, script, MiB | {script:.0f} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
