"""Who speaks when, by the service's stages, by pyannote.audio and by sherpa-onnx: how long, at what cost, how well?

    python -m benchmarks.diarization [--device cpu] [--seconds 120] [--speakers 3] [--threads 2] [--repeat 3]
    python -m benchmarks.diarization --device cuda --seconds 1020 --at-once 1 32 [--precision fp16] [--pack FILE.npz]

On the same recording, machine, threads and weights, each in a process of its own, one after the other, in turn:
`pyannote` (its pipeline, with the batch sizes that are fastest on the first 20 s), `exact` and `fast` (the service's
modes), `sherpa` (sherpa-onnx with CAM++, on CPUs). Each is warm. Prints the median of each one's wall and CPU seconds, its
peak memory beyond what was loaded to join the recording (torch among it), its error rate (no collar, overlap included) and
how far its turns are from pyannote.audio's. With `--at-once` above 1, so many copies of the recording share the service's
batches; pyannote.audio takes one at a time.

On a GPU, last the floor: the operations that the networks need at least once for each window, at the rate of a large
product.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.conversations import converse
from benchmarks.corpus import Recording, Turn
from benchmarks.der import diarization_error_rate
from benchmarks.diarization_networks import SEGMENTATION_OPERATIONS, TRUNK_OPERATIONS
from benchmarks.diarizers import Audio, diarized, sherpas, tuned
from benchmarks.packing import Pack
from diarization_service.config import PRECISIONS, WorkerConfig
from diarization_service.process import worker_environment
from diarization_service.torch_networks import load_networks
from serving import logs
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE

_WARM_SECONDS = 20

DiarizeAll = Callable[[list[Audio]], list[tuple[Turn, ...]]]


@dataclass(frozen=True)
class Result:
    """One run: seconds, bytes, and who spoke when as it was said of the first copy."""

    wall: float
    cpu: float
    memory: int
    gpu_memory: int
    note: str
    turns: tuple[Turn, ...]

    @classmethod
    def from_json(cls, text: str) -> "Result":
        fields = json.loads(text)
        return cls(**fields | {"turns": tuple(Turn(**turn) for turn in fields["turns"])})


def main() -> None:
    arguments = parsed()
    logs.configure("warning", "console")
    if arguments.only:
        print(json.dumps(asdict(run(arguments.only, arguments.at_once[0], arguments))))
        return
    recording = recording_for(arguments)
    for at_once in arguments.at_once:
        ways = [way for way in arguments.ways if at_once == 1 or way in ("exact", "fast")]
        results: dict[str, list[Result]] = {way: [] for way in ways}
        for _ in range(arguments.repeat):
            for way in ways:
                results[way].append(apart(way, at_once))
        report(recording, at_once, results)
    if arguments.device != "cpu":
        floor(torch.device(arguments.device), recording.seconds)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = ("pyannote", "exact", "fast", "sherpa")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=120, help="length of the conversation joined for it")
    parser.add_argument("--speakers", type=int, default=3)
    parser.add_argument("--pack", type=Path, help="phrases to join, where none can be downloaded")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the service's networks")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1])
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways)
    parser.add_argument("--only", choices=ways, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.device != "cpu":
        arguments.ways = [way for way in arguments.ways if way in ("pyannote", "exact")]
    return arguments


def recording_for(arguments: argparse.Namespace) -> Recording:
    join = Pack(arguments.pack).converse if arguments.pack else partial(converse)
    return join(arguments.seconds, arguments.speakers, seed=0)


def apart(way: str, at_once: int) -> Result:
    """In a process of its own, so that its memory is its own. Raises subprocess.CalledProcessError."""
    command = [sys.executable, "-m", "benchmarks.diarization", *sys.argv[1:], "--only", way]
    done = subprocess.run(
        [*command, "--at-once", str(at_once)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=worker_environment(),
    )
    return Result.from_json(done.stdout.splitlines()[-1])


def run(way: str, at_once: int, arguments: argparse.Namespace) -> Result:
    warnings.simplefilter("ignore")  # pyannote.audio's, about statistics over single frames
    audio = recording_for(arguments).samples.astype(np.float32) / np.float32(32_768)
    torch.set_num_threads(arguments.threads)
    before = peak_memory()
    diarize, note = diarizer(way, audio[: _WARM_SECONDS * SAMPLE_RATE], arguments)
    diarize([audio[: _WARM_SECONDS * SAMPLE_RATE]])
    started, cpu = time.perf_counter(), time.process_time()
    found = diarize([audio] * at_once)
    return Result(
        wall=time.perf_counter() - started,
        cpu=time.process_time() - cpu,
        memory=peak_memory() - before,
        gpu_memory=torch.cuda.max_memory_reserved() if arguments.device != "cpu" else 0,
        note=note,
        turns=found[0],
    )


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def diarizer(way: str, excerpt: Audio, arguments: argparse.Namespace) -> tuple[DiarizeAll, str]:
    """What answers several recordings, and what there is to say about it."""
    if way == "sherpa":
        one = sherpas(arguments.threads)
        return lambda recordings: [one(audio) for audio in recordings], "CAM++"
    store, device = ModelStore(), torch.device(arguments.device)
    config = WorkerConfig(
        str(store.path("pyannote-segmentation-3.0")),
        str(store.path("wespeaker-resnet34")),
        arguments.device,
        threads=arguments.threads,
    )
    if way == "pyannote":
        one, sizes = tuned(config, device, excerpt)
        return lambda recordings: [one(audio) for audio in recordings], f"batches of {sizes.embedding}"
    networks = load_networks(replace(config, mode=way, precision=arguments.precision))
    networks.warm_up()
    return partial(diarized, networks), networks.settings.precision


def report(recording: Recording, at_once: int, results: dict[str, list[Result]]) -> None:
    print(
        f"\n{recording.name}: {recording.seconds:.0f} s, {at_once} at once; medians of {len(next(iter(results.values())))}"
    )
    print(
        "| | wall, s | CPU, s | CPU s per s | audio s per s | peak memory, MiB | on the GPU, MiB | DER | from pyannote's | times pyannote |"
    )
    print("| --- " * 10 + "|")
    reference = results.get("pyannote")
    for way, runs in results.items():
        print(f"| {way} ({runs[-1].note}) | {row(recording, at_once, runs, reference)} |", flush=True)


def row(recording: Recording, at_once: int, runs: list[Result], reference: list[Result] | None) -> str:
    wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
    memory, gpu_memory = (
        max(sizes) / 2**20 for sizes in zip(*((run.memory, run.gpu_memory) for run in runs), strict=True)
    )
    seconds = recording.seconds * at_once
    rate = diarization_error_rate(recording, runs[-1].turns)
    cells = [
        f"{wall:.2f}",
        f"{cpu:.2f}",
        f"{cpu / seconds:.3f}",
        f"{seconds / wall:.1f}",
        f"{memory:.0f}",
        f"{gpu_memory:.0f}",
    ]
    cells.append(f"{rate:.1%}")
    if reference:
        theirs = replace(recording, turns=reference[-1].turns)
        cells.append(f"{diarization_error_rate(theirs, runs[-1].turns):.2%}")
        cells.append(f"{median(run.wall for run in reference) / wall:.2f}")
    return " | ".join(cells)


def floor(device: torch.device, seconds: float) -> None:
    """What the networks' operations take at the rate of a large product, the best of ten."""
    operations = seconds * (SEGMENTATION_OPERATIONS + TRUNK_OPERATIONS)
    for name, dtype in {"fp32": torch.float32, "fp16": torch.float16}.items():
        square = torch.randn(8192, 8192, device=device, dtype=dtype)
        rate = 2.0 * 8192**3 / min(product_seconds(square) for _ in range(10))
        print(
            f"floor, {name}: {operations:.3g} operations at {rate / 1e12:.3g} T/s: {operations / rate:.3f} s"
        )


def product_seconds(square: torch.Tensor) -> float:
    started = time.perf_counter()
    product = square @ square
    product[0, 0].item()  # waits for all of it
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
