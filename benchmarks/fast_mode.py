"""What fast mode costs in diarization error rate, and what it saves, recording by recording.

    python -m benchmarks.fast_mode [--recordings sample dev00 …] [--minutes 6] [--threads 1] [--ways bf16 shared both]

Four ways with the same weights: `exact` (fp32, the trunk on each window), `bf16` (the trunk in bf16), `shared` (the trunk on
two windows of five) and `both`. Recordings are those of benchmarks/equality.py. Prints the error rate against the reference
(no collar, overlap included), how far each way's turns are from exact mode's, and CPU seconds for a second of audio.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.conversations import converse
from benchmarks.corpus import MEETING_NAMES, Recording, Samples, Turn, meeting, sample
from benchmarks.der import diarization_error_rate
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
}
"""Precision, stride and windows of a block."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", nargs="*", default=["sample", *MEETING_NAMES])
    parser.add_argument("--minutes", type=float, default=6, help="of joined conversations; 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS)[1:], default=list(WAYS)[1:])
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    torch.set_num_threads(1)
    ways = {way: networks(way, arguments.threads) for way in ("exact", *arguments.ways)}
    print(
        f"| recording | s | speakers | {' | '.join(f'{way}: DER, change, differs, CPU s/s' for way in ways)} |"
    )
    print("| --- " * (3 + len(ways)) + "|")
    for recording in recordings(arguments.recordings, arguments.minutes):
        report(recording, ways)


def networks(way: str, threads: int) -> TorchNetworks:
    store, device = ModelStore(), torch.device("cpu")
    segmentation, embedding = store.path("pyannote-segmentation-3.0"), store.path("wespeaker-resnet34")
    precision, stride, block_windows = WAYS[way]
    config = WorkerConfig(
        str(segmentation), str(embedding), "cpu", mode="exact", precision=precision, threads=threads
    )
    settings = replace(Settings.of(config, device), stride=stride, block_windows=block_windows)
    made = TorchNetworks(load_network(segmentation), load_network(embedding), device, settings)
    made.warm_up()
    return made


def recordings(names: list[str], minutes: float) -> Iterator[Recording]:
    for name in names:
        yield sample() if name == "sample" else meeting(name)
    for number in range(round(minutes / 2)):
        yield converse(120, 2 + number % 5, seed=100 + number)


def report(recording: Recording, ways: dict[str, TorchNetworks]) -> None:
    found = {way: timed(recording.samples, used) for way, used in ways.items()}
    exact, _ = found["exact"]
    as_exact = replace(recording, turns=exact)
    rate = diarization_error_rate(recording, exact)
    cells = [
        f"{diarization_error_rate(recording, turns):.1%}, {diarization_error_rate(recording, turns) - rate:+.2%}, "
        f"{diarization_error_rate(as_exact, turns):.2%}, {seconds / recording.seconds:.3f}"
        for turns, seconds in found.values()
    ]
    speakers = len({turn.speaker for turn in exact})
    print(f"| {recording.name} | {recording.seconds:.0f} | {speakers} | {' | '.join(cells)} |", flush=True)


def timed(samples: Samples, used: TorchNetworks) -> tuple[tuple[Turn, ...], float]:
    """Turns, and the CPU seconds that they took."""
    started = time.process_time()
    answer = streamed(used, samples, SpeakerBounds())
    seconds = time.process_time() - started
    return tuple(Turn(track.start, track.end, str(track.speaker)) for track in answer.tracks), seconds


if __name__ == "__main__":
    main()
