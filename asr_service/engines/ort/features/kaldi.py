"""Kaldi's filterbank, as sherpa-onnx 2.0.1 has kaldi-native-fbank compute it for icefall's models.

The options are those of sherpa-onnx's features.h: 80 bands from 20 to 7600 Hz (400 below the Nyquist frequency), frames of
25 ms around the middle of each 10 ms (`snip_edges` false) that lose their mean, Povey's window, samples in [-1, 1), no
dither. Pre-emphasis and a transform of 512 samples are kaldi-native-fbank's defaults: offline-stream.cc does not hand on
what sherpa-onnx's recognisers set there.
"""

import math

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.features.filters import htk_filters
from asr_service.engines.ort.features.spectrum import LENGTH, STEP, Matrix, MelSpectrum, framed
from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.stages import Floats

POVEY = (np.hanning(LENGTH) ** 0.85).astype(np.float32)
PREEMPHASIS = np.float32(0.97)
SIZE = 512
FLOOR = np.finfo(np.float32).eps
PREEMPHASIZING: Matrix = np.eye(LENGTH) - PREEMPHASIS * np.eye(LENGTH, k=1)
"""On frames, as rows. Their first samples stay as they are; all windows are zero there."""
SILENCE = math.log(1e-10)
"""As icefall and sherpa-onnx pad batches."""

BEFORE = (LENGTH - STEP) // 2
"""Samples that the first frame has in front of the first one, mirrored."""


class KaldiFeatures:
    """Natural logarithms of the power in each band, no less than FLOOR's."""

    def __init__(self, bins: int = 80, *, padding: float = SILENCE) -> None:
        self.bins = bins
        self.padding = padding
        self._spectrum = MelSpectrum(POVEY, SIZE, htk_filters(bins, SIZE, 20, 7600))

    def frames(self, samples: int) -> int:
        return frames(samples)

    def __call__(self, samples: Samples) -> Floats:
        count = frames(len(samples))
        signal = mirrored(samples, count)
        # Each frame's mean is taken from its samples, so this much remains of it after pre-emphasis.
        offsets = (1 - PREEMPHASIS) * framed(signal[1:], count).mean(axis=1)
        power = self._spectrum(preemphasized(signal), count, offsets)
        return np.log(np.maximum(power, FLOOR, out=power), out=power)

    def heard(self, samples: int) -> int:
        return frames(samples)

    def surrounded(self, samples: Samples) -> tuple[Samples, ...]:
        return reflected(samples)

    def matrices(self) -> tuple[Matrix, Matrix]:
        """Each frame loses its mean before pre-emphasis, which leaves this much of it."""
        means = np.full((LENGTH, LENGTH), (1 - PREEMPHASIS) / LENGTH)
        return self._spectrum.matrices(PREEMPHASIZING - means)

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        logarithms = graph.op("Log", graph.op("Max", power, graph.floats(FLOOR)))
        return graph.op("Where", heard, logarithms, graph.floats(self.padding))


def frames(samples: int) -> int:
    """One for each STEP, and one for a rest of at least half a STEP."""
    return (samples + STEP // 2) // STEP


def mirrored(samples: Samples, count: int) -> Floats:
    """Samples with what the frames at both edges see beyond them: the edge's neighbourhood in a mirror.

    Frame t begins at 1 + STEP * t; the sample before is for pre-emphasis. Where nothing fills a frame, nothing is left.
    """
    if not count:
        return np.zeros(1 + LENGTH, np.float32)
    return np.pad(samples, (1 + BEFORE, LENGTH // 2), mode="symmetric")


def reflected(samples: Samples) -> tuple[Samples, Samples, Samples]:
    """What `mirrored` joins, from the first frame's beginning."""
    behind = LENGTH // 2
    if len(samples) >= behind:
        return samples[:BEFORE][::-1], samples, samples[-behind:][::-1]
    padded = np.pad(samples, (BEFORE, behind), mode="symmetric") if len(samples) else samples
    return padded[:BEFORE], samples, padded[BEFORE + len(samples) :]


def preemphasized(signal: Floats) -> Floats:
    """Without the first sample. Kaldi begins anew in each frame, where the window is zero: there is no difference."""
    return signal[1:] - PREEMPHASIS * signal[:-1]
