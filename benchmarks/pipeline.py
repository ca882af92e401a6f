"""Duoscribe through its gateway against the same models run by a plain script, one stage after the other.

    python -m benchmarks.pipeline [--seconds 300] [--threads 2] [--repeat 1]

All transcribe the same recording, joined from real clips with exact references (benchmarks/corpus.py):

(a)  benchmarks/sequential.py with pyannote.audio's own pipeline;
(a') the same script with the diarization service's pipeline, which computes less for the same turns: against it, what is
     left of (b) is what the services themselves cost and gain;
(b)  the three services as separate processes, the recording uploaded through the gateway as fast as it takes it.

Each has --threads threads for each stage; the recognition service has them as that many decoders of one thread. Models are
loaded and warm before any clock starts. With --repeat the ways take turns. Prints a table in Markdown; --json keeps every
figure.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.answers import attributed_words, found_turns
from benchmarks.corpus import Recording, Turn, conversation
from benchmarks.der import diarization_error_rate
from benchmarks.processes import usage
from benchmarks.scoring import cp_word_error_rate, word_error_rate
from diarization_service.process import worker_environment
from gateway.client import Transcript, TranscriptionClient, configuration, read_file
from gateway.supervisor import Launch, Services, running_services

TIMES = {
    "wall time, s": "wall",
    "CPU time, s": "cpu",
    "first text, s": "first_text",
    "first final speaker, s": "first_final_speaker",
}
RATES = {"WER": "wer", "cpWER": "cp_wer", "DER": "der"}


@dataclass(frozen=True)
class Run:
    """One transcription; times are in seconds from its start, memory is in bytes a process tree."""

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
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = recording.write_wav(Path(folder) / "conversation.wav")
        ways: dict[str, Callable[[], Run]] = {
            "(a)": lambda: sequential(recording, path, arguments.threads),
            "(a')": lambda: sequential(recording, path, arguments.threads, "--shared-trunk"),
            "(b)": lambda: asyncio.run(duoscribe(recording, path, arguments.threads)),
        }
        for number in range(arguments.repeat):
            for way, transcribe in ways.items():
                print(f"run {number + 1} of {arguments.repeat}: {way}", file=sys.stderr)
                runs.setdefault(way, []).append(transcribe())
    print(table(recording, runs))
    if arguments.json:
        figures = {way: [asdict(run) for run in ran] for way, ran in runs.items()}
        arguments.json.write_text(json.dumps(figures, indent=1))


def sequential(recording: Recording, path: Path, threads: int, *flags: str) -> Run:
    command = [sys.executable, "-m", "benchmarks.sequential", str(path), f"--threads={threads}", *flags]
    environment = worker_environment() if "--shared-trunk" in flags else None
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    result = json.loads(done.stdout)
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
    decoders = ("--threads=1", f"--parallel={threads}")
    return (
        Launch("asr", "asr_service", (f"--address={sockets['asr']}", *decoders)),
        Launch(
            "diarization",
            "diarization_service",
            (f"--address={sockets['diarization']}", f"--threads={threads}"),
        ),
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


def table(recording: Recording, runs: Mapping[str, Sequence[Run]]) -> str:
    """Medians side by side, and (b) over the two baselines where a ratio says something."""
    speakers = len({turn.speaker for turn in recording.turns})
    words = sum(len(sentence.text.split()) for sentence in recording.sentences)
    repeats = len(runs["(b)"])
    lines = [
        f"{recording.seconds:.0f} s, {speakers} speakers, {words} words; medians of {repeats}",
        "",
        "| | (a) script | (a') script, trunk shared | (b) Duoscribe | (b)/(a) | (b)/(a') |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for title, field in TIMES.items():
        a, shared, b = (median(getattr(run, field) for run in ran) for ran in runs.values())
        lines.append(f"| {title} | {a:.1f} | {shared:.1f} | {b:.1f} | {b / a:.3f} | {b / shared:.3f} |")
    for title, field in RATES.items():
        a, shared, b = (median(getattr(run, field) for run in ran) for ran in runs.values())
        lines.append(f"| {title} | {a:.1%} | {shared:.1%} | {b:.1%} | | |")
    memory = (peaks(ran) for ran in runs.values())
    lines.append(f"| peak memory, MiB | {' | '.join(memory)} | | |")
    return "\n".join(lines)


def peaks(runs: Sequence[Run]) -> str:
    return ", ".join(
        f"{name} {median(run.peak_memory[name] for run in runs) / 2**20:.0f}" for name in runs[0].peak_memory
    )


if __name__ == "__main__":
    main()
