"""NeMo's mel spectrograms: NeMo's own, and what sherpa-onnx 2.0.1 makes of them with kaldi-native-fbank.

Both take Slaney's filters, pre-emphasis and log(power + 2 ** -24), and bring each band to a mean of 0 and a deviation of 1
over the utterance. They differ in

- where frames lie: NeMo's around each multiple of 10 ms with zeros beyond the edges, sherpa-onnx's 5 ms later with the
  edges mirrored, and one more where half a frame is left;
- the window: Hann's with NeMo; with sherpa-onnx Povey's for transducers, a periodic Hann for CTC;
- the upper end: 8000 Hz; 7600 Hz for sherpa-onnx's transducers, whose bands all lie elsewhere by that;
- the deviation: NeMo divides by the number of frames less one.

Models were trained on NeMo's. How far sherpa-onnx's are from them on half a minute of telephone speech, on average and in
units of a band's deviation (from frame to frame NeMo's own change by 0.41, or 0.44 with 128 bands):

| | transducer | CTC |
| --- | --- | --- |
| 80 bands | 0.40 | 0.26 |
| 128 bands | 0.46 | 0.29 |
| 80 bands, frames moved to where NeMo's lie | 0.35 | 0.010 |
| 128 bands, frames moved to where NeMo's lie | 0.41 | 0.009 |
"""

import numpy as np

from asr_service.engines.base import Samples
from asr_service.engines.ort.features import kaldi
from asr_service.engines.ort.features.filters import slaney_filters
from asr_service.engines.ort.features.spectrum import HANN, LENGTH, PERIODIC_HANN, STEP, Matrix, MelSpectrum
from asr_service.engines.ort.graphs.builder import DOUBLE, FLOAT, Graph
from asr_service.engines.ort.stages import Floats

GUARD = np.float32(2**-24)
"""Keeps silence from minus infinity."""

FADING = (np.float64(kaldi.PREEMPHASIS) ** np.arange(1, LENGTH // 2 + 1)).astype(np.float32)
"""Times the last sample, what pre-emphasis takes to zero behind it."""

_LEAST_DEVIATION = np.float32(1e-5)


class NemoFeatures:
    """As NeMo's AudioToMelSpectrogramPreprocessor computes them (features.py, FilterbankFeatures), without dither."""

    padding = 0.0

    def __init__(self, bins: int, *, normalize: bool = True) -> None:
        """`normalize` is for normalisation "per_feature"; without it, features are the logarithms themselves."""
        self.bins = bins
        self._normalize = normalize
        self._spectrum = MelSpectrum(HANN, kaldi.SIZE, slaney_filters(bins, kaldi.SIZE, 8000))

    def frames(self, samples: int) -> int:
        return samples // STEP

    def __call__(self, samples: Samples) -> Floats:
        # One zero more in front, for pre-emphasis: the first sample stays as it is. Behind the last nothing of it is left.
        signal = np.pad(samples, (1 + LENGTH // 2, LENGTH // 2))
        signal[1:] = kaldi.preemphasized(signal)
        signal[-LENGTH // 2 :] = 0
        power = self._spectrum(signal[1:], self.frames(len(samples)))
        logarithms = np.log(power + GUARD)
        return _normalized(logarithms) if self._normalize else logarithms

    def heard(self, samples: int) -> int:
        return self.frames(samples)

    def surrounded(self, samples: Samples) -> tuple[Samples, ...]:
        """What follows is what pre-emphasis leaves nothing of."""
        before = np.zeros(LENGTH // 2, np.float32)
        return before, samples, FADING * samples[-1:] if len(samples) else before

    def matrices(self) -> tuple[Matrix, Matrix]:
        return self._spectrum.matrices(kaldi.PREEMPHASIZING)

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        logarithms = graph.op("Log", graph.op("Add", power, graph.floats(GUARD)))
        if not self._normalize:
            return graph.op("Where", heard, logarithms, graph.floats(self.padding))
        return normalized(graph, logarithms, heard, freedom=1)


class SherpaNemoFeatures:
    """As sherpa-onnx computes them, to the rounding: offline-recognizer-{transducer-nemo,ctc}-impl.h, offline-stream.cc.

    kaldi-native-fbank's NemoFbankOptions, which follow NeMo itself, it does not use.
    """

    padding = 0.0

    def __init__(self, bins: int, *, ctc: bool, normalize: bool) -> None:
        """`normalize` is for a model whose metadata say "per_feature", not "" or "NA"."""
        self.bins = bins
        self._normalize = normalize
        window, high = (PERIODIC_HANN, 8000) if ctc else (kaldi.POVEY, 7600)
        self._spectrum = MelSpectrum(window, kaldi.SIZE, slaney_filters(bins, kaldi.SIZE, high))

    def frames(self, samples: int) -> int:
        return kaldi.frames(samples)

    def __call__(self, samples: Samples) -> Floats:
        count = kaldi.frames(len(samples))
        power = self._spectrum(kaldi.preemphasized(kaldi.mirrored(samples, count)), count)
        if not self._normalize:
            return np.log(np.maximum(power, kaldi.FLOOR))
        return _normalized_like_eigen(np.log(power + GUARD))

    def heard(self, samples: int) -> int:
        return kaldi.frames(samples)

    def surrounded(self, samples: Samples) -> tuple[Samples, ...]:
        return kaldi.reflected(samples)

    def matrices(self) -> tuple[Matrix, Matrix]:
        return self._spectrum.matrices(kaldi.PREEMPHASIZING)

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        """Normalised by sums that are closer to the true ones than `_eigen_sum`'s."""
        if self._normalize:
            logarithms = graph.op("Log", graph.op("Add", power, graph.floats(GUARD)))
            return normalized(graph, logarithms, heard, freedom=0)
        logarithms = graph.op("Log", graph.op("Max", power, graph.floats(kaldi.FLOOR)))
        return graph.op("Where", heard, logarithms, graph.floats(self.padding))


def normalized(graph: Graph, features: str, heard: str, *, freedom: int) -> str:
    """Of shape (batch, frames, bins), over the frames that are `heard`, (batch, frames, 1); the others become 0.

    `freedom` is how many frames less than there are the sum of squares is divided by. In double precision: the rounding of
    sums depends on how many rows there are, and bands that hardly change show it. Products with the mask are these sums.
    """
    # Not transposed: from that ONNX Runtime makes a kind of product that old versions lack in double precision.
    ours = graph.cast(heard, DOUBLE)
    row, one = graph.op("Reshape", ours, graph.ints([0, 1, -1])), graph.doubles(1)

    def mean(values: str, count: str) -> str:
        return graph.op("Div", graph.op("MatMul", row, values), graph.op("Max", count, one))

    values, count = graph.cast(features, DOUBLE), graph.op("MatMul", row, ours)
    centred = graph.op("Mul", graph.op("Sub", values, mean(values, count)), ours)
    variance = mean(graph.op("Mul", centred, centred), graph.op("Sub", count, graph.doubles(freedom)))
    deviation = graph.op("Add", graph.op("Sqrt", variance), graph.doubles(_LEAST_DEVIATION))
    return graph.cast(graph.op("Div", centred, deviation), FLOAT)


def _normalized(features: Floats) -> Floats:
    """The deviation of a single frame is taken for 0."""
    count = max(1, len(features))
    mean: Floats = (features.sum(axis=0, dtype=np.float64) / count).astype(np.float32)
    centred = features - mean
    variance = np.square(centred).sum(axis=0, dtype=np.float64) / max(1, count - 1)
    deviation: Floats = np.sqrt(variance).astype(np.float32)
    return centred / (deviation + _LEAST_DEVIATION)


def _normalized_like_eigen(features: Floats) -> Floats:
    """NemoNormalizePerFeature of sherpa-onnx's math.cc.

    Its sums in single precision are off: the mean of 5 s by up to 3e-4, and more of longer audio. Features that differ by
    this much turn near ties between tokens, so the same order of additions is kept.
    """
    if not len(features):
        return features
    count = np.float32(len(features))
    centred = features - _eigen_sum(features) / count
    deviation: Floats = np.sqrt(_eigen_sum(np.square(centred)) / count)
    scale: Floats = np.reciprocal(deviation + _LEAST_DEVIATION)
    return centred * scale


def _eigen_sum(rows: Floats) -> Floats:
    """Over rows, in the order of Eigen's column-wise reductions: (a + b) + (c + d) of each four rows, added to the sum.

    The first row stands by itself, and so do up to three at the end.
    """
    fours = rows[1 : 1 + (len(rows) - 1) // 4 * 4]
    pairs = fours[::2] + fours[1::2]
    # NumPy adds rows one after the other.
    total: Floats = np.concatenate([rows[:1], pairs[::2] + pairs[1::2], rows[1 + len(fours) :]]).sum(axis=0)
    return total
