"""The batched greedy search against onnx-asr's, which decodes one utterance after the other: how many times as fast?

    python -m benchmarks.greedy_search [--models DIR] [--batch 32] [--seconds 20] [--threads N] [--repeat 3]

Decoders of Parakeet's size (640 hidden units, 2 layers) with random weights that say 2 to 4 tokens a second, TDT and RNN-T,
8193 tokens and 1025, in one file as NeMo exports them. Both searches take the same frames of the same encoder and take
turns on the CPU. Prints each one's median seconds by the clock and of the CPU, which a busy machine disturbs less, their ratio,
and how many utterances they agree on. `--models` keeps the models, which take minutes to make, for the next time.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx_asr.models.nemo import NemoConformerRnnt, NemoConformerTdt

from asr_service.engines.ort.runtime import Placement
from asr_service.engines.ort.search import nemo_search
from asr_service.engines.ort.stages import Encoded
from workbench.networks import fastconformer
from workbench.networks.listening import babble, log_mel, normalized
from workbench.networks.nemo_export import export_for_onnx_asr
from workbench.networks.nemo_models import transducer
from workbench.networks.prediction import Dimensions

ENCODER = fastconformer.Dimensions(mel_bins=128, layers=1, width=1024)
"""One layer makes frames of the right kind; more would only take longer."""
RATE = 3.5
MOST = {0: 10, 5: 5}
"""Labels a frame, by durations: what the batched search allows, as sherpa-onnx does."""

Texts = list[list[int]]


@dataclass(frozen=True)
class Frames:
    """An encoder's output, (batch, dim, time), and how much of each row holds something."""

    values: NDArray[np.float32]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Timed:
    """Seconds of each run by the clock and of the CPU, and what the first one said."""

    tokens: Texts
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, help="where models are, or are to be kept")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20, help="length of the longest utterance")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each; all cores by default")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        for tokens in (8192, 1024):
            for durations in (5, 0):
                directory = (arguments.models or Path(passing)) / f"{tokens}-{durations}"
                make(directory, tokens, durations)
                frames = encoded(directory, arguments.batch, arguments.seconds)
                ways = {
                    "onnx-asr": onnx_asrs(directory, durations, frames, arguments.threads),
                    "batched": batched(directory, tokens, frames, arguments.threads),
                }
                report(tokens, durations, alternate(ways, arguments.repeat), frames)


def make(directory: Path, tokens: int, durations: int) -> None:
    if (directory / "decoder_joint-model.onnx").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    decoder = Dimensions(tokens=tokens, encoder=ENCODER.width, durations=durations)
    export_for_onnx_asr(transducer(ENCODER, decoder, rate=RATE), directory)
    config = directory / "config.json"
    settings = json.loads(config.read_text("utf-8")) | {"max_tokens_per_step": MOST[durations]}
    config.write_text(json.dumps(settings), "utf-8")


def encoded(directory: Path, batch: int, seconds: float) -> Frames:
    """Of babble; the shortest utterance has three quarters of the longest."""
    encoder = onnxruntime.InferenceSession(
        directory / "encoder-model.onnx", providers=["CPUExecutionProvider"]
    )
    rows = list[NDArray[np.float32]]()
    for number, length in enumerate(np.linspace(0.75, 1, batch) * seconds):
        features = normalized(log_mel(babble(length, 100 + number), ENCODER.mel_bins))[None].numpy()
        inputs = {"audio_signal": features, "length": np.array([features.shape[2]])}
        values, counts = encoder.run(["outputs", "encoded_lengths"], inputs)
        rows.append(values[0, :, : counts[0]])
    lengths = np.array([row.shape[1] for row in rows])
    padded = [np.pad(row, ((0, 0), (0, lengths.max() - row.shape[1]))) for row in rows]
    return Frames(np.stack(padded), lengths)


def onnx_asrs(directory: Path, durations: int, frames: Frames, threads: int) -> Callable[[], Texts]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = (NemoConformerTdt if durations else NemoConformerRnnt)(
        {
            "vocab": directory / "vocab.txt",
            "config": directory / "config.json",
            "encoder": directory / "encoder-model.onnx",
            "decoder_joint": directory / "decoder_joint-model.onnx",
        },
        no_preprocessor,
        {"sess_options": options, "providers": ["CPUExecutionProvider"]},
    )

    def decode() -> Texts:
        found = model._decoding(frames.values.transpose(0, 2, 1), frames.lengths, need_logprobs=True)  # noqa: SLF001
        return [list(tokens) for tokens, _, _ in found]

    return decode


def batched(directory: Path, tokens: int, frames: Frames, threads: int) -> Callable[[], Texts]:
    decoder = directory / "decoder_joint-model.onnx"
    search = nemo_search(decoder, None, tokens=tokens + 1).on(Placement(threads=threads), frames="outputs")
    outputs = {"outputs": onnxruntime.OrtValue.ortvalue_from_numpy(frames.values)}

    def decode() -> Texts:
        found = search(Encoded(outputs, frames.lengths))
        return [row[:count].tolist() for row, count in zip(found.tokens, found.counts, strict=True)]

    return decode


def alternate(ways: dict[str, Callable[[], Texts]], repeat: int) -> dict[str, Timed]:
    timed = {name: Timed(decode()) for name, decode in ways.items()}
    for _ in range(repeat):
        for name, decode in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            decode()
            timed[name].wall.append(time.perf_counter() - wall)
            timed[name].cpu.append(time.process_time() - cpu)
    return timed


def report(tokens: int, durations: int, timed: dict[str, Timed], frames: Frames) -> None:
    theirs, ours = timed["onnx-asr"], timed["batched"]
    audio = frames.lengths.sum() * 0.08
    said = sum(map(len, ours.tokens))
    equal = sum(one == other for one, other in zip(theirs.tokens, ours.tokens, strict=True))
    print(
        f"{'TDT' if durations else 'RNN-T'}, {tokens + 1} tokens: {said / audio:.1f} tokens/s in {audio:.0f} s of audio"
    )
    for name, way in timed.items():
        print(f"    {name:10} {median(way.wall):8.3f} s, {median(way.cpu):8.3f} s of the CPU")
    wall = median(theirs.wall) / median(ours.wall)
    cpu = median(theirs.cpu) / median(ours.cpu)
    print(f"    ratio {wall:.1f}, of the CPU {cpu:.1f}; {equal} of {len(ours.tokens)} utterances equal")


def no_preprocessor(_name: str) -> Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """onnx-asr makes one with the model; frames are given here, so it is never asked for features."""

    def preprocess(*_waveforms: object) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        raise NotImplementedError

    return preprocess


if __name__ == "__main__":
    main()
