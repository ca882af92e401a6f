"""What fast mode costs in diarization error rate, and what it saves, recording by recording.

    python -m benchmarks.fast_mode [--recordings sample dev00 …] [--minutes 6] [--threads 1] [--ways bf16 shared both]

Four ways with the same weights: `exact` (fp32, the trunk on each window), `bf16` (the trunk in bf16), `shared` (the trunk on
two windows of five) and `both`. Recordings are those of benchmarks/equality.py. Prints the error rate against the reference
(no collar, overlap included), how far each way's turns are from exact mode's, and CPU seconds for a second of audio. Last, the
means over all recordings, weighed by their length.

    python -m benchmarks.fast_mode --device cuda --ways fp16 --recordings --minutes 60 --pack recordings.npz

On GPUs there is `fp16` as well, which is what they compute in by default.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.conversations import converse
from benchmarks.corpus import MEETING_NAMES, Recording, Samples, Turn, meeting, sample
from benchmarks.der import diarization_error_rate
from benchmarks.packing import Pack
from benchmarks.streamed import streamed
from diarization_service.config import WorkerConfig
from diarization_service.networks import load_network
from diarization_service.settings import BLOCK_WINDOWS, STRIDE, Settings
from diarization_service.torch_networks import TorchNetworks
from serving import logs
from serving.models.store import ModelStore
from serving.speakers import SpeakerBounds

WAYS = {
    "exact": ("fp32", 1, 1),
    "bf16": ("bf16", 1, 1),
    "shared": ("fp32", STRIDE, BLOCK_WINDOWS),
    "both": ("bf16", STRIDE, BLOCK_WINDOWS),
    "fp16": ("fp16", 1, 1),
}
"""Precision, stride and windows of a block."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", nargs="*", default=["sample", *MEETING_NAMES])
    parser.add_argument("--minutes", type=float, default=6, help="of joined conversations; 0 for none")
    parser.add_argument("--pack", type=Path, help="phrases to join, where none can be downloaded")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS)[1:], default=["bf16", "shared", "both"])
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    torch.set_num_threads(1)
    ways = {way: networks(way, arguments.device, arguments.threads) for way in ("exact", *arguments.ways)}
    print(
        f"| recording | s | speakers | {' | '.join(f'{way}: DER, change, differs, CPU s/s' for way in ways)} |"
    )
    print("| --- " * (3 + len(ways)) + "|")
    total = 0.0
    rates = np.zeros(len(ways))
    join = Pack(arguments.pack).converse if arguments.pack else partial(converse)
    for recording in recordings(arguments.recordings, arguments.minutes, join):
        rates += recording.seconds * report(recording, ways)
        total += recording.seconds
    print(f"| all | {total:.0f} | | {' | '.join(f'{rate:.2%}' for rate in rates / total)} |")


def networks(way: str, place: str, threads: int) -> TorchNetworks:
    """Raises InvalidConfig (a precision that the device does not have)."""
    store, device = ModelStore(), torch.device(place)
    segmentation, embedding = store.path("pyannote-segmentation-3.0"), store.path("wespeaker-resnet34")
    precision, stride, block_windows = WAYS[way]
    config = WorkerConfig(
        str(segmentation), str(embedding), place, mode="exact", precision=precision, threads=threads
    )
    settings = replace(Settings.of(config, device), stride=stride, block_windows=block_windows)
    made = TorchNetworks(load_network(segmentation), load_network(embedding), device, settings)
    made.warm_up()
    return made


def recordings(
    names: list[str], minutes: float, join: Callable[[float, int, int], Recording]
) -> Iterator[Recording]:
    for name in names:
        yield sample() if name == "sample" else meeting(name)
    for number in range(round(minutes / 2)):
        yield join(120, 2 + number % 5, 100 + number)


def report(recording: Recording, ways: dict[str, TorchNetworks]) -> NDArray[np.float64]:
    """Prints a row, and gives each way's error rate."""
    found = {way: timed(recording.samples, used) for way, used in ways.items()}
    exact, _ = found["exact"]
    as_exact = replace(recording, turns=exact)
    rate = diarization_error_rate(recording, exact)
    rates = [diarization_error_rate(recording, turns) for turns, _ in found.values()]
    cells = [
        f"{own:.1%}, {own - rate:+.2%}, {diarization_error_rate(as_exact, turns):.2%}, {seconds / recording.seconds:.3f}"
        for own, (turns, seconds) in zip(rates, found.values(), strict=True)
    ]
    speakers = len({turn.speaker for turn in exact})
    print(f"| {recording.name} | {recording.seconds:.0f} | {speakers} | {' | '.join(cells)} |", flush=True)
    return np.array(rates)


def timed(samples: Samples, used: TorchNetworks) -> tuple[tuple[Turn, ...], float]:
    """Turns, and the CPU seconds that they took."""
    started = time.process_time()
    answer = streamed(used, samples, SpeakerBounds())
    seconds = time.process_time() - started
    return tuple(Turn(track.start, track.end, str(track.speaker)) for track in answer.tracks), seconds


if __name__ == "__main__":
    main()
