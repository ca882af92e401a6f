"""Real speech for recipes of recognisers, where somebody put some: recordings of the user's own."""

import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from asr_service.engines.base import Samples
from serving.errors import ModelUnavailable
from serving.models.store import default_cache_dir
from serving.times import SAMPLE_RATE


@dataclass(frozen=True)
class Clip:
    name: str
    samples: Samples
    """Shape (samples,), mono at 16 kHz in [-1, 1)."""
    text: str
    """What is said; empty where nobody wrote it down."""


def clips() -> tuple[Clip, ...]:
    """Those in `folder()`, by name; none where there is no such folder. Raises ModelUnavailable for a file of another kind."""
    return _read_all(folder())


def folder() -> Path:
    """Where NAME.wav, of 16 bits, mono, at 16 kHz, lies with its words in NAME.txt: $DUOSCRIBE_CACHE/clips."""
    return default_cache_dir() / "clips"


@cache
def _read_all(directory: Path) -> tuple[Clip, ...]:
    return tuple(_read(path) for path in sorted(directory.glob("*.wav")))


def _read(path: Path) -> Clip:
    text = path.with_suffix(".txt")
    return Clip(path.stem, _samples(path), text.read_text("utf-8").strip() if text.exists() else "")


def _samples(path: Path) -> Samples:
    try:
        with wave.open(str(path), "rb") as file:
            kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ModelUnavailable(f"{path} is no WAV file of 16 bits ({error}); convert it") from error
    if kind != (1, 2, SAMPLE_RATE):
        raise ModelUnavailable(f"{path} is not mono, of 16 bits, at {SAMPLE_RATE} Hz; convert it")
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
