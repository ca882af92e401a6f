"""The diarization service's pipeline against pyannote.audio's own: the same turns, how much sooner?

    python -m benchmarks.diarization [--device auto] [--seconds 300] [--repeat 3] [--recording mono-16k.wav]

The two take turns over the same recording, each warm, on the same device with the same weights; pyannote.audio has batches
of 32, as its published pipeline does, the service its own defaults. Prints the median of each, their ratio, and whether
the turns are equal.
"""

import argparse
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diarization_service.config import WorkerConfig
from diarization_service.pipeline import build, load_pipeline
from diarization_service.turns import Track, Turn, diarization
from serving import logs
from serving.models.store import ModelStore
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE

# isort: split
from pyannote.audio.pipelines import SpeakerDiarization

Audio = NDArray[np.float32]
Diarize = Callable[[Audio], tuple[Turn, ...]]


@dataclass(frozen=True)
class Timed:
    """Wall seconds of each run, and the turns of the last."""

    seconds: list[float]
    turns: tuple[Turn, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N; auto takes a GPU if there is one"
    )
    parser.add_argument("--seconds", type=float, default=300, help="length of the recording joined for it")
    parser.add_argument("--recording", type=Path, help="a mono 16 kHz WAV file to take instead")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    audio = wav_samples(arguments.recording) if arguments.recording else joined(arguments.seconds)
    store = ModelStore()
    config = WorkerConfig(
        str(store.path("pyannote-segmentation-3.0")), str(store.path("wespeaker-resnet34")), device
    )
    ways = {"pyannote.audio": pyannotes(config, torch.device(device)), "service": services(config)}
    timed = alternate(ways, audio, arguments.repeat)
    report(timed, len(audio) / SAMPLE_RATE, device)


def pyannotes(config: WorkerConfig, device: torch.device) -> Diarize:
    pipeline = build(config, device, SpeakerDiarization)
    pipeline.segmentation_batch_size = pipeline.embedding_batch_size = 32

    def diarize(audio: Audio) -> tuple[Turn, ...]:
        output: Any = pipeline({"waveform": torch.from_numpy(audio)[None], "sample_rate": SAMPLE_RATE})
        found = diarization(
            tracks(output.speaker_diarization),
            tracks(output.exclusive_speaker_diarization),
            len(audio),
        )
        return found.turns

    return diarize


def tracks(annotation: Any) -> list[Track]:
    return [
        (segment.start, segment.end, label) for segment, _, label in annotation.itertracks(yield_label=True)
    ]


def services(config: WorkerConfig) -> Diarize:
    pipeline = load_pipeline(config)
    pipeline.warm_up()

    def diarize(audio: Audio) -> tuple[Turn, ...]:
        return pipeline(audio, SpeakerBounds(), lambda *_: None).turns

    return diarize


def alternate(ways: dict[str, Diarize], audio: Audio, repeat: int) -> dict[str, Timed]:
    """One run each to warm up on the first half minute, then `repeat` of each in turn."""
    for diarize in ways.values():
        diarize(audio[: 30 * SAMPLE_RATE])
    timed = {name: Timed([], ()) for name in ways}
    for _ in range(repeat):
        for name, diarize in ways.items():
            started = time.monotonic()
            turns = diarize(audio)
            timed[name] = Timed([*timed[name].seconds, time.monotonic() - started], turns)
    return timed


def report(timed: dict[str, Timed], seconds: float, device: str) -> None:
    where = f"{torch.cuda.get_device_name(device)}" if device.startswith("cuda") else "cpu"
    reference, ours = timed.values()
    theirs_median, ours_median = median(reference.seconds), median(ours.seconds)
    print(f"{seconds:.0f} s of audio on {where}, torch {torch.__version__}; medians of {len(ours.seconds)}")
    print("| | pyannote.audio | service | service over pyannote.audio |")
    print("| --- | --- | --- | --- |")
    print(f"| wall time, s | {theirs_median:.2f} | {ours_median:.2f} | {ours_median / theirs_median:.3f} |")
    print(
        f"| real-time factor | {theirs_median / seconds:.4f} | {ours_median / seconds:.4f} | |\n"
        f"turns: {len(ours.turns)}, of {len({turn.speaker for turn in ours.turns})} speakers; "
        f"equal to pyannote.audio's: {ours.turns == reference.turns}"
    )


def wav_samples(path: Path) -> Audio:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise SystemExit(f"{path} is not mono 16-bit WAV at 16 kHz")
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return data.astype(np.float32) / np.float32(32768)


def joined(seconds: float) -> Audio:
    # Here, since a machine that is given a recording need not have what joins one.
    from benchmarks.corpus import conversation  # noqa: PLC0415

    return conversation(seconds).samples.astype(np.float32) / np.float32(32768)


if __name__ == "__main__":
    main()
