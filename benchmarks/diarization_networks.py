"""Diarization's two networks by themselves, stage by stage: how long does a recording's worth of windows take?

    python -m benchmarks.diarization_networks [--device cuda] [--windows 1058] [--seconds 120]
        [--segmentation FOLDER] [--embedding FOLDER] [--recording mono-16k.wav]

1,058 windows are 17.8 minutes. Prints, for each stage, precision and batch, the seconds that all windows take (the median of
three) with inputs on the device already, then what sending them there takes. Then how far each precision is from fp32 on
the first `seconds` of the recording (pyannote.audio's sample): activity that differs, and cosines of embeddings. Last the
floor: operations by the rate that a large product reaches on this device.
"""

import argparse
import copy
import time
import wave
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.corpus import sample
from diarization_service.embedding import Embedding
from diarization_service.networks import load_network
from diarization_service.pooling import pooled
from diarization_service.segmentation import Segmentation
from serving.models.store import ModelStore

WINDOW, STEP = 160_000, 16_000
SPEAKERS, MASK_FRAMES = 3, 589
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Products and sums: SincNet, its two convolutions, LSTM and linear layers; the trunk's convolutions. For one window.
SEGMENTATION_OPERATIONS, TRUNK_OPERATIONS = 2.7e9, 45.0e9


def main() -> None:
    arguments = parsed()
    device = torch.device(arguments.device)
    torch.set_grad_enabled(False)
    store = ModelStore()
    segmentation = load_network(arguments.segmentation or store.path("pyannote-segmentation-3.0"))
    embedding = load_network(arguments.embedding or store.path("wespeaker-resnet34"))
    samples = recorded(arguments.recording, arguments.seconds)
    print(f"{device} {name_of(device)}, torch {torch.__version__}, {arguments.windows} windows")
    bench = Bench(device, arguments.windows)
    batches = [int(batch) for batch in arguments.batches.split(",")]
    time_segmentation(bench, segmentation, batches, arguments.precisions.split(","))
    time_embedding(bench, embedding, batches, arguments)
    if device.type == "cuda":
        time_sending(bench, batches)
    compare(device, segmentation, embedding, samples, arguments.precisions.split(","))
    floor(bench, arguments.precisions.split(","))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--windows", type=int, default=1058)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--batches", default="32,64,128,256,512")
    parser.add_argument("--precisions", default="fp32,tf32,fp16,bf16")
    parser.add_argument("--segmentation", type=Path)
    parser.add_argument("--embedding", type=Path)
    parser.add_argument("--recording", type=Path)
    return parser.parse_args()


class Bench:
    """Times what all windows take, batch by batch, on one device."""

    def __init__(self, device: torch.device, windows: int) -> None:
        self.device = device
        self.windows = windows

    def __call__(self, label: str, batch: int, work: Callable[[], Any]) -> None:
        try:
            seconds = (
                self.seconds(work, -(-self.windows // batch))
                * self.windows
                / batch
                / -(-self.windows // batch)
            )
        except (RuntimeError, TypeError) as error:
            print(f"{label:34} batch {batch:4}  {str(error).splitlines()[0][:90]}", flush=True)
            return
        print(f"{label:34} batch {batch:4}  {seconds:8.3f} s", flush=True)

    def seconds(self, work: Callable[[], Any], times: int) -> float:
        """Of `times` calls: the median of three."""
        work()
        taken = []
        for _ in range(3):
            self.wait()
            started = time.perf_counter()
            for _ in range(times):
                work()
            self.wait()
            taken.append(time.perf_counter() - started)
        return median(taken)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def time_segmentation(bench: Bench, network: Any, batches: list[int], precisions: list[str]) -> None:
    for precision in precisions:
        use(precision)
        model = Segmentation(copy.deepcopy(network), DTYPES[precision]).to(bench.device)
        for batch in batches:
            windows = noise(batch, bench.device)
            bench(f"segmentation {precision}", batch, lambda: model(*windows))  # noqa: B023  called here and now
            features = model.filters(*windows).mT.to(DTYPES[precision])
            bench(f"its filters {precision}", batch, lambda: model.filters(*windows))  # noqa: B023  called here and now
            bench(f"its recurrent layers {precision}", batch, lambda: model.recurrent(features))  # noqa: B023  called here and now


def time_embedding(bench: Bench, network: Any, batches: list[int], arguments: argparse.Namespace) -> None:
    features = Embedding(copy.deepcopy(network), WINDOW).to(bench.device).features
    for batch in batches:
        samples, _ = noise(batch, bench.device)
        bench("features fp32", batch, lambda: features(samples))  # noqa: B023  called here and now
    for precision in arguments.precisions.split(","):
        use(precision)
        trunk = Embedding(copy.deepcopy(network), WINDOW, DTYPES[precision]).to(bench.device).trunk
        for batch in batches:
            inputs = torch.randn(batch, 80, 998, device=bench.device)
            bench(f"trunk {precision}", batch, lambda: trunk(inputs))  # noqa: B023  called here and now
    weights = torch.ones(1, SPEAKERS, 125, device=bench.device)
    for batch in batches:
        frames = torch.randn(batch, 2560, 125, device=bench.device, dtype=torch.float16)
        bench("pooling", batch, lambda: pooled(frames, weights.expand(batch, -1, -1)))  # noqa: B023  called here and now


def noise(batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """So many windows, as neighbours."""
    starts = STEP * torch.arange(batch, device=device)
    return 0.05 * torch.randn(WINDOW + (batch - 1) * STEP, device=device), starts


def time_sending(bench: Bench, batches: list[int]) -> None:
    for batch in batches:
        samples, _ = noise(batch, torch.device("cpu"))
        bench("sending audio", batch, lambda: samples.to(bench.device))  # noqa: B023  called here and now


def use(precision: str) -> None:
    torch.backends.cudnn.allow_tf32 = precision != "fp32"


def compare(
    device: torch.device, segmentation: Any, embedding: Any, samples: Tensor, precisions: list[str]
) -> None:
    """Activity and embeddings of each precision against fp32's."""
    reference: tuple[Tensor, Tensor] | None = None
    samples = samples.to(device)
    every = STEP * torch.arange(1 + (len(samples) - WINDOW) // STEP, device=device)
    for precision in dict.fromkeys(["fp32", *precisions]):
        use(precision)
        hear = Segmentation(copy.deepcopy(segmentation), DTYPES[precision]).to(device)
        embed = Embedding(copy.deepcopy(embedding), WINDOW, DTYPES[precision]).to(device)
        activity: list[Tensor] = []
        embeddings: list[Tensor] = []
        for starts in torch.split(every, 32):
            activity.append(hear(samples, starts))
            masks = (
                reference[0][len(embeddings) * 32 :][: len(starts)] if reference else activity[-1]
            ).mT.float()
            weights = masks[..., torch.arange(125, device=device) * MASK_FRAMES // 125]
            embeddings.append(embed(samples, starts[:, None], weights))
        found = torch.cat(activity), torch.cat(embeddings)
        reference = reference or found
        spoken = reference[0].bool().any(dim=1)
        cosines = torch.cosine_similarity(found[1][spoken], reference[1][spoken], dim=1).sort().values
        print(
            f"{precision} against fp32: {(found[0] != reference[0]).any(dim=2).float().mean():.4%} of frames differ; "
            f"{len(cosines)} embeddings, cosine least {cosines[0]:.6f}, median {cosines.median():.6f}"
        )


def floor(bench: Bench, precisions: list[str]) -> None:
    """Seconds that the operations take at the rate of a large product."""
    for precision in precisions:
        torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
        size = 8192 if bench.device.type == "cuda" else 1024
        square = torch.randn(size, size, device=bench.device, dtype=DTYPES[precision])
        rate = 2 * size**3 / (bench.seconds(lambda: square @ square, 5) / 5)  # noqa: B023  called here and now
        operations = bench.windows * (SEGMENTATION_OPERATIONS + TRUNK_OPERATIONS)
        print(
            f"floor {precision}: {operations:.3g} operations at {rate / 1e12:.3g} T/s: {operations / rate:.3f} s"
        )


def recorded(path: Path | None, seconds: float) -> Tensor:
    """Shape (samples,)."""
    count = int(seconds * 16_000)
    if path is None:
        samples = sample().samples[:count]
    else:
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(count), "<i2")
    return torch.from_numpy(samples.astype(np.float32) / np.float32(32_768))


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


if __name__ == "__main__":
    main()
