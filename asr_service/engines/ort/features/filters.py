"""Triangular filters that sum a power spectrum's bins into bands of equal width on a mel scale.

In single precision step by step as kaldi-native-fbank's mel-computations.cc, since its weights differ from exact ones by
up to a hundred thousandth: weights here are equal to its own (Slaney's) or within 1e-6 of them (HTK's).
"""

from functools import cache
from typing import Any

import numpy as np

from asr_service.engines.ort.stages import Floats
from serving.times import SAMPLE_RATE

_f = np.float32


@cache
def htk_filters(bins: int, size: int, low: float, high: float) -> Floats:
    """Kaldi's: triangles on HTK's mel scale from `low` to `high` Hz, shape (size // 2 + 1, bins).

    `size` is the Fourier transform's. The Nyquist frequency has no part in any of them.
    """
    left, centre, right = _edges(_htk(np.array([low, high], _f)), bins)
    mel = _htk(_frequencies(size))[:, np.newaxis]
    weights = _triangles(mel, left, centre, right)
    weights[-1] = 0
    return _constant(weights)


@cache
def slaney_filters(bins: int, size: int, high: float) -> Floats:
    """The default of librosa: triangles in Hz of equal area, spread over Slaney's mel scale from 0 to `high` Hz.

    Shape (size // 2 + 1, bins), where `size` is the Fourier transform's.
    """
    bounds = np.array([0, _slaney(_f(high))], _f)
    left, centre, right = (_from_slaney(edge) for edge in _edges(bounds, bins))
    weights = _triangles(_frequencies(size)[:, np.newaxis], left, centre, right)
    return _constant(weights * (_f(2) / (right - left)))


def _edges(bounds: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    """Where each filter begins, peaks and ends, in mel."""
    width = (bounds[1] - bounds[0]) / _f(bins + 1)
    edges = bounds[0] + np.arange(bins + 2, dtype=_f) * width
    return edges[:-2], edges[1:-1], edges[2:]


def _triangles(places: Floats, left: Floats, centre: Floats, right: Floats) -> Floats:
    rising, falling = (places - left) / (centre - left), (right - places) / (right - centre)
    weights = np.where(places <= centre, rising, falling)
    return np.where((places > left) & (places < right), weights, _f(0))


def _frequencies(size: int) -> Floats:
    return _f(SAMPLE_RATE / size) * np.arange(size // 2 + 1, dtype=_f)


def _htk(hertz: Floats) -> Floats:
    mel: Floats = _f(1127) * _rounded(np.log, _f(1) + hertz / _f(700))
    return mel


def _slaney(hertz: np.float32) -> np.float32:
    """Of a frequency above 1 kHz, up to which the scale is linear."""
    mel: np.float32 = _f(15) + _f(27 / np.log(6.4)) * _rounded(np.log, hertz / _f(1000))
    return mel


def _from_slaney(mel: Floats) -> Floats:
    exponential = _f(1000) * _rounded(np.exp, (mel - _f(15)) * _f(np.log(6.4) / 27))
    return np.where(mel <= 15, _f(200) / _f(3) * mel, exponential)


def _rounded(function: np.ufunc, values: Any) -> Any:
    """The nearest floats to the function's values: NumPy's own for singles depend on the processor."""
    return function(values.astype(np.float64)).astype(_f)


def _constant(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
