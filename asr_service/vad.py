"""Where somebody speaks: Silero VAD through sherpa-onnx, on a stream of audio of any chunking."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import sherpa_onnx

from asr_service.engines.base import Samples
from asr_service.engines.onnx_header import read_header
from serving.errors import ModelUnavailable
from serving.times import SAMPLE_RATE

ENGINE = f"sherpa-onnx {version('sherpa-onnx')}"

_HOP = 512  # samples; Silero's step at 16 kHz
_GRAPHS = (
    (("input", "state", "sr"), ("output", "stateN")),
    (("input", "sr", "h", "c"), ("output", "hn", "cn")),
)


@dataclass(frozen=True)
class Region:
    """Speech without a pause, in samples from the start of the recording; `end` is exclusive."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Activity:
    """What has become known about the recording since the last time."""

    regions: tuple[Region, ...]
    """Regions that came to their end, in order."""
    speaking_since: int | None
    """Start of the region that is still going on."""
    settled: int
    """Sample up to which all is decided: every region that starts before it has been told, and the one still going
    on lasts at least until here."""


class SpeechModel(Protocol):
    """Decides hop by hop whether somebody speaks, remembering what came before."""

    def window_size(self) -> int: ...

    def is_speech(self, samples: Samples, /) -> bool: ...


@dataclass(frozen=True)
class VadOptions:
    """`threshold`: probability from which a hop counts as speech; the others in seconds."""

    threshold: float
    min_speech: float
    min_silence: float


class VoiceActivityDetector:
    """One recording's voice activity; the same regions however the audio is cut into blocks.

    A region's bounds are those of sherpa-onnx's VoiceActivityDetector (voice-activity-detector.cc), whose own
    buffering makes regions depend on block sizes and keeps endless speech in memory.
    """

    def __init__(self, model: SpeechModel, options: VadOptions) -> None:
        self._model = model
        self._window = model.window_size()
        self._lead = 2 * self._window + round(options.min_speech * SAMPLE_RATE)
        self._min_silence = round(options.min_silence * SAMPLE_RATE)
        self._waiting: Samples = np.zeros(0, np.float32)
        self._heard = 0
        self._start: int | None = None
        self._last_end = 0
        self._settled = 0

    def accept(self, samples: Samples) -> Activity:
        """Takes the next samples, mono at 16 kHz, shape (samples,), of any length."""
        self._waiting = np.concatenate((self._waiting, samples))
        ended = [region for hop in self._hops() if (region := self._hear(hop))]
        return self._activity(ended)

    def finish(self) -> Activity:
        """Ends the recording: a region still going on ends with it."""
        self._heard += len(self._waiting)
        ended = [] if self._start is None else [self._end_region(self._heard)]
        self._settled = self._heard
        return self._activity(ended)

    def _hops(self) -> Iterable[Samples]:
        position = 0
        while position + self._window <= len(self._waiting):
            yield self._waiting[position : position + self._window]
            position += _HOP
        self._waiting = self._waiting[position:]

    def _hear(self, window: Samples) -> Region | None:
        """Moves on by a hop; answers with the region that came to its end there."""
        self._heard += _HOP
        if self._model.is_speech(window):
            if self._start is None:
                self._start = max(self._heard - self._lead, self._last_end, 0)
            self._settle(self._heard - self._min_silence)
            return None
        ended = None if self._start is None else self._end_region(self._heard - self._min_silence)
        self._settle(self._heard - self._lead)
        return ended

    def _end_region(self, end: int) -> Region:
        start, self._start = self._start or 0, None
        self._last_end = max(end, start + 1)
        return Region(start, self._last_end)

    def _settle(self, position: int) -> None:
        self._settled = max(self._settled, position)

    def _activity(self, ended: list[Region]) -> Activity:
        return Activity(tuple(ended), self._start, self._settled)


def silero(path: Path, options: VadOptions) -> Callable[[], VoiceActivityDetector]:
    """A maker of detectors, one for each recording, from Silero's ONNX file.

    Raises ModelUnavailable where the file is missing or another model, which would end the process later.
    """
    _check(path)
    config = sherpa_onnx.VadModelConfig(
        silero_vad=sherpa_onnx.SileroVadModelConfig(
            model=str(path),
            threshold=options.threshold,
            min_speech_duration=options.min_speech,
            min_silence_duration=options.min_silence,
            window_size=_HOP,
        ),
        sample_rate=SAMPLE_RATE,
    )
    return lambda: VoiceActivityDetector(sherpa_onnx.VadModel.create(config), options)


def _check(path: Path) -> None:
    try:
        header = read_header(path)
    except (ValueError, OSError) as error:
        raise ModelUnavailable(
            f"{path} is not a readable ONNX file ({error}); run `duoscribe models pull silero-vad`"
        ) from error
    if (tuple(header.inputs), tuple(header.outputs)) not in _GRAPHS:
        raise ModelUnavailable(f"{path} is not Silero VAD; run `duoscribe models pull silero-vad`")
