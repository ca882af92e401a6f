"""Short-time spectra in mel bands: frames of 25 ms, one every 10 ms."""

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.stages import Floats

Matrix = npt.NDArray[np.float64]

STEP, LENGTH = 160, 400
"""Samples from one frame's start to the next one's, and in a frame."""

HANN = np.hanning(LENGTH).astype(np.float32)
"""Symmetric."""

PERIODIC_HANN = np.hanning(LENGTH + 1)[:-1].astype(np.float32)

# Frames that are worked on at once: their spectra stay in a core's cache, and memory in bounds.
_BLOCK = 128
# Bands that are summed at once. A band has few of a spectrum's bins, and so have its neighbours: sixteen at a time take a
# third of the time that one product of all bands and bins does. And these products stay below the size (2 ** 18
# multiplications) from which OpenBLAS spreads one over all cores, for which threads that compute different utterances
# would wait.
_BANDS = 16


class MelSpectrum:
    """Power in mel bands.

    In single precision: kaldi-native-fbank's own rounding is what differences to it come from, so that doubles agree
    with it no better, and take half as long again. Before version 2 NumPy transforms in double precision anyway.
    """

    def __init__(self, window: Floats, size: int, filters: Floats) -> None:
        """`window` has shape (LENGTH,), `filters` (size // 2 + 1, bands).

        `size` is the Fourier transform's; frames get zeros behind.
        """
        self._window, self._size, self._filters = window, size, filters
        self._bands = filters.shape[1]
        self._sections = [_section(filters, first) for first in range(0, self._bands, _BANDS)]

    def __call__(self, signal: Floats, count: int, offsets: Floats | None = None) -> Floats:
        """Shape (count, bands): frame t begins at sample STEP * t of `signal`, which must reach to the last one's end.

        `offsets`, of shape (count,), is subtracted from the frames.
        """
        frames = framed(signal, count)
        power = np.empty((count, self._bands), np.float32)
        for first in range(0, count, _BLOCK):
            block = slice(first, first + _BLOCK)
            chosen = frames[block] if offsets is None else frames[block] - offsets[block, np.newaxis]
            self._sum(self._spectra(chosen * self._window), power[block])
        return power

    def matrices(self, conditioning: Matrix) -> tuple[Matrix, Matrix]:
        """All of it as two products of matrices, with squares between them: of frames, (…, LENGTH), and (…, bands) out of it.

        `conditioning`, (LENGTH, LENGTH), is what frames go through before the window. The first product's columns are real
        parts and then imaginary ones, of the bins that any band takes from.
        """
        used = np.flatnonzero(self._filters.any(axis=1))
        angles = 2 * np.pi / self._size * np.outer(np.arange(LENGTH), used)
        waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        filters = np.concatenate([self._filters[used]] * 2).astype(np.float64)
        return conditioning @ (self._window[:, np.newaxis] * waves), filters

    def _spectra(self, frames: Floats) -> Floats:
        """Power of windowed frames, shape (frames, size // 2 + 1)."""
        spectra = np.fft.rfft(frames, self._size)
        squares = np.square(spectra.real)
        squares += np.square(spectra.imag)
        return squares.astype(np.float32, copy=False)

    def _sum(self, spectra: Floats, power: Floats) -> None:
        for bins, bands, weights in self._sections:
            np.matmul(spectra[:, bins], weights, out=power[:, bands])


def framed(signal: Floats, count: int) -> Floats:
    """A view of shape (count, LENGTH)."""
    return np.lib.stride_tricks.sliding_window_view(signal, LENGTH)[::STEP][:count]


def _section(filters: Floats, first: int) -> tuple[slice, slice, Floats]:
    """The bins that some bands take from, these bands, and their weights."""
    bands = slice(first, first + _BANDS)
    used = np.flatnonzero(filters[:, bands].any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1)
    return bins, bands, np.ascontiguousarray(filters[bins, bands])
