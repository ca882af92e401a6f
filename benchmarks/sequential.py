"""The baseline: what a careful script does with the same models, one stage after the other, no services.

Silero VAD, its regions joined up to 25 s, Whisper through sherpa-onnx, then pyannote.audio's own pipeline over the whole
file (--shared-trunk: the service's), then each word to the speaker whose turn overlaps it most. `python -m benchmarks.sequential recording.wav` prints one
line of JSON; models are loaded before the clock starts.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx
import torch

from benchmarks.corpus import Turn, read_audio
from benchmarks.diarizers import Audio, Diarize, pyannotes, services
from diarization_service.config import WorkerConfig
from serving import logs
from serving.models.store import ModelStore
from serving.times import SAMPLE_RATE

WINDOW_SECONDS = 25.0


@dataclass(frozen=True)
class Word:
    """What was said, in seconds from the recording's start."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Result:
    """What the script found, and what it took once its models were loaded."""

    wall_seconds: float
    cpu_seconds: float
    first_words_seconds: float
    peak_memory_bytes: int
    recognition_seconds: float
    attributed: list[tuple[str, str]]
    turns: list[Turn]


def run(recording: Path, threads: int, *, shared_trunk: bool) -> Result:
    store = ModelStore()
    vad = _vad(store.path("silero-vad"))
    recognizer = _recognizer(store.path("whisper-tiny.en"), threads)
    diarize = _diarizer(store, threads, shared_trunk=shared_trunk)
    wall, cpu = time.monotonic(), time.process_time()
    audio = read_audio(recording).astype(np.float32) / np.float32(32768)
    words: list[Word] = []
    first: float | None = None
    for start, piece in _joined(_regions(vad, audio), audio):
        words += _words(recognizer, start, piece)
        first = first or time.monotonic() - wall
    recognized = time.monotonic() - wall
    turns = list(diarize(audio))
    return Result(
        wall_seconds=time.monotonic() - wall,
        cpu_seconds=time.process_time() - cpu,
        first_words_seconds=first or recognized,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        recognition_seconds=recognized,
        attributed=[(_speaker(word, turns), word.text) for word in words],
        turns=turns,
    )


def _vad(directory: Path) -> Any:
    config = sherpa_onnx.VadModelConfig()
    config.silero_vad.model = str(directory / "silero_vad.onnx")
    config.silero_vad.min_silence_duration = 0.25
    config.silero_vad.max_speech_duration = 20.0
    config.sample_rate = SAMPLE_RATE
    return sherpa_onnx.VoiceActivityDetector(config, buffer_size_in_seconds=60)


def _recognizer(directory: Path, threads: int) -> Any:
    return sherpa_onnx.OfflineRecognizer.from_whisper(
        encoder=str(directory / "encoder.int8.onnx"),
        decoder=str(directory / "decoder.int8.onnx"),
        tokens=str(directory / "tokens.txt"),
        num_threads=threads,
        enable_token_timestamps=True,
    )


def _diarizer(store: ModelStore, threads: int, *, shared_trunk: bool) -> Diarize:
    """pyannote.audio's own pipeline, or the service's called as a function: then what is left is the services' overhead."""
    torch.set_num_threads(threads)
    config = WorkerConfig(
        str(store.path("pyannote-segmentation-3.0")),
        str(store.path("wespeaker-resnet34")),
        "cpu",
        threads=threads,
    )
    return services(config) if shared_trunk else pyannotes(config, torch.device("cpu"))


def _regions(vad: Any, audio: Audio) -> Iterator[tuple[int, int]]:
    """Stretches of speech, as (first sample, end)."""
    window = 512
    for at in range(0, len(audio), window):
        vad.accept_waveform(audio[at : at + window])
        yield from _detected(vad)
    vad.flush()
    yield from _detected(vad)


def _detected(vad: Any) -> Iterator[tuple[int, int]]:
    while not vad.empty():
        yield vad.front.start, vad.front.start + len(vad.front.samples)
        vad.pop()


def _joined(regions: Iterator[tuple[int, int]], audio: Audio) -> Iterator[tuple[float, Audio]]:
    """Regions, silence between them included, as long as they fit into the window."""
    start = end = None
    for first, last in regions:
        if start is not None and end is not None and last - start > WINDOW_SECONDS * SAMPLE_RATE:
            yield start / SAMPLE_RATE, audio[start:end]
            start = None
        start, end = first if start is None else start, last
    if start is not None:
        yield start / SAMPLE_RATE, audio[start:end]


def _words(recognizer: Any, offset: float, piece: Audio) -> Iterator[Word]:
    """A word begins where a token begins with a space, and lasts until the next one."""
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, piece)
    recognizer.decode_stream(stream)
    texts: list[str] = []
    starts: list[float] = []
    for token, start in zip(stream.result.tokens, stream.result.timestamps, strict=True):
        if token.startswith(" ") or not texts:
            texts.append(token.strip())
            starts.append(offset + start)
        else:
            texts[-1] += token
    ends = [*starts[1:], offset + len(piece) / SAMPLE_RATE]
    return (Word(*word) for word in zip(texts, starts, ends, strict=True))


def _speaker(word: Word, turns: Sequence[Turn]) -> str:
    """Whose turn overlaps the word most; the nearest one's where none does."""

    def overlap(turn: Turn) -> float:
        return min(word.end, turn.end) - max(word.start, turn.start)

    return max(turns, key=overlap).speaker if turns else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shared-trunk", action="store_true", help="diarize with the service's own pipeline")
    arguments = parser.parse_args()
    logs.configure("warning", "console")
    print(
        json.dumps(asdict(run(arguments.recording, arguments.threads, shared_trunk=arguments.shared_trunk)))
    )
