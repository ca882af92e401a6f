"""Whisper's log-mel spectrograms: OpenAI's own, and sherpa-onnx 2.0.1's by kaldi-native-fbank.

Both clip what lies 80 dB below the loudest band of the whole and map the rest to about -1 to 1.5. They differ in

- where frames lie: OpenAI's around each multiple of 10 ms, sherpa-onnx's 5 ms later; edges are mirrored, OpenAI's without
  the edge sample;
- what comes behind: OpenAI's are of audio extended with silence to 30 s, whose frames have the lowest value that is left;
  sherpa-onnx appends frames of zeros, which stand for a power of 1e-4, as many as 10 s have unless it is told otherwise.
"""

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.features import kaldi
from asr_service.engines.ort.features.filters import slaney_filters
from asr_service.engines.ort.features.spectrum import LENGTH, PERIODIC_HANN, STEP, Matrix, MelSpectrum
from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.stages import Floats

FRAMES = 3000
"""In the 30 s that the encoder was trained on."""

_SAMPLES = FRAMES * STEP
_SHERPA_FRAMES = FRAMES - 50
_FLOOR = np.float32(1e-10)
_EDGE = LENGTH // 2


class OpenAiWhisperFeatures:
    """As openai/whisper computes them (audio.py: pad_or_trim, log_mel_spectrogram), always FRAMES; the rest is cut off."""

    padding = 0.0

    def __init__(self, bins: int = 80) -> None:
        self.bins = bins
        self._spectrum = _spectrum(bins)

    def frames(self, samples: int) -> int:  # noqa: ARG002 - whatever there is
        return FRAMES

    def __call__(self, samples: Samples) -> Floats:
        samples = samples[:_SAMPLES]
        signal = np.pad(np.pad(samples, (0, _SAMPLES - len(samples))), LENGTH // 2, mode="reflect")
        # Frames after the last that reaches back to a sample are silent.
        heard = min(FRAMES, -(-(len(samples) + LENGTH // 2) // STEP))
        power = np.zeros((FRAMES, self.bins), np.float32)
        power[:heard] = self._spectrum(signal, heard)
        return _compressed(power)

    def heard(self, samples: int) -> int:  # noqa: ARG002 - silence is heard too
        return FRAMES

    def surrounded(self, samples: Samples) -> tuple[Samples, ...]:
        samples = samples[:_SAMPLES]
        first = np.pad(samples[: _EDGE + 1], (0, max(0, _EDGE + 1 - len(samples))))
        silence = np.zeros(_SAMPLES - len(samples), np.float32)
        last = np.concatenate([samples[-_EDGE - 1 :], silence[: _EDGE + 1]])[-_EDGE - 1 :]
        return first[:0:-1], samples, silence, last[-2::-1]

    def matrices(self) -> tuple[Matrix, Matrix]:
        return self._spectrum.matrices(np.eye(LENGTH))

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        return compressed(graph, power, heard)


class SherpaWhisperFeatures:
    """As sherpa-onnx computes them (offline-recognizer-whisper-impl.h, math.cc), at most 29.5 s and zeros behind."""

    padding = 0.0

    def __init__(self, bins: int = 80, *, tail: int = 1000) -> None:
        """`tail` is how many frames of zeros follow, up to FRAMES in all; with FRAMES, all utterances have equally many."""
        self.bins = bins
        self._tail = tail
        self._spectrum = _spectrum(bins)

    def frames(self, samples: int) -> int:
        return min(self.heard(samples) + self._tail, FRAMES)

    def heard(self, samples: int) -> int:
        """Frames before the zeros."""
        return min(kaldi.frames(samples), _SHERPA_FRAMES)

    def __call__(self, samples: Samples) -> Floats:
        heard = self.heard(len(samples))
        # Without the sample in front that pre-emphasis would take.
        power = self._spectrum(kaldi.mirrored(samples[:_SAMPLES], heard)[1:], heard)
        features = np.zeros((self.frames(len(samples)), self.bins), np.float32)
        if heard:
            features[:heard] = _compressed(power)
        return features

    def surrounded(self, samples: Samples) -> tuple[Samples, ...]:
        return kaldi.reflected(samples[:_SAMPLES])

    def matrices(self) -> tuple[Matrix, Matrix]:
        return self._spectrum.matrices(np.eye(LENGTH))

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        return compressed(graph, power, heard)


def _spectrum(bins: int) -> MelSpectrum:
    return MelSpectrum(PERIODIC_HANN, LENGTH, slaney_filters(bins, LENGTH, 8000))


def compressed(graph: Graph, power: str, heard: str) -> str:
    """Of shape (batch, frames, bins), by the loudest band of the frames that are `heard`, (batch, frames, 1); others are 0."""
    natural = graph.op("Log", graph.op("Max", power, graph.floats(_FLOOR)))
    logarithms = graph.op("Mul", natural, graph.floats(1 / np.log(10)))
    lowest = graph.floats(np.log10(_FLOOR))
    loudest = graph.op("ReduceMax", graph.op("Where", heard, logarithms, lowest), axes=[1, 2], keepdims=1)
    clipped = graph.op("Max", logarithms, graph.op("Sub", loudest, graph.floats(8)))
    scaled = graph.op("Mul", graph.op("Add", clipped, graph.floats(4)), graph.floats(1 / 4))
    return graph.op("Where", heard, scaled, graph.floats(0))


def _compressed(power: Floats) -> Floats:
    logarithms: Floats = np.log10(np.maximum(power, _FLOOR))
    clipped: Floats = np.maximum(logarithms, logarithms.max() - np.float32(8))
    return (clipped + np.float32(4)) / np.float32(4)
