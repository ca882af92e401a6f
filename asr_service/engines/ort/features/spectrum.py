"""Short-time spectra in mel bands: frames of 25 ms, one every 10 ms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.stages import Floats

STEP, LENGTH = 160, 400
"""Samples from one frame's start to the next one's, and in a frame."""

HANN = np.hanning(LENGTH).astype(np.float32)
"""Symmetric."""

PERIODIC_HANN = np.hanning(LENGTH + 1)[:-1].astype(np.float32)

# Frames that are worked on at once: their spectra stay in a core's cache, and memory in bounds.
_BLOCK = 128
# Frames in a product of matrices. OpenBLAS would spread larger ones over all cores, one product at a time: the threads
# that compute different utterances would wait for each other.
_GROUP = 16


@dataclass(frozen=True)
class MelSpectrum:
    """Power in mel bands.

    In single precision: kaldi-native-fbank's own rounding is what differences to it come from, so that doubles agree
    with it no better, and take 1.8 times as long. Before version 2 NumPy transforms in double precision anyway.
    """

    window: Floats
    """Shape (LENGTH,)."""
    size: int
    """Of the Fourier transform; frames get zeros behind."""
    filters: Floats
    """Shape (size // 2 + 1, bands)."""

    def __call__(self, signal: Floats, count: int, offsets: Floats | None = None) -> Floats:
        """Shape (count, bands): frame t begins at sample STEP * t of `signal`, which must reach to the last one's end.

        `offsets`, of shape (count,), is subtracted from the frames.
        """
        if not count:
            return np.zeros((0, self.filters.shape[1]), np.float32)
        frames = framed(signal, count)
        block = np.zeros((_BLOCK, LENGTH), np.float32)
        power = np.empty((-(-count // _GROUP) * _GROUP, self.filters.shape[1]), np.float32)
        for first in range(0, count, _BLOCK):
            rows = min(_BLOCK, len(power) - first)
            part = slice(first, first + rows)
            chosen = frames[part]
            if offsets is not None:
                chosen = chosen - offsets[part, np.newaxis]
            np.multiply(chosen, self.window, out=block[: len(chosen)])
            power[part] = self._power(block[:rows])
        return power[:count]

    def _power(self, frames: Floats) -> Floats:
        """Of windowed frames, a multiple of _GROUP."""
        spectra = np.fft.rfft(frames, self.size)
        squares = np.square(spectra.real)
        squares += np.square(spectra.imag)
        groups = squares.astype(np.float32, copy=False).reshape(-1, _GROUP, len(self.filters))
        power: Floats = np.matmul(groups, self.filters).reshape(len(frames), -1)
        return power


def framed(signal: npt.NDArray[np.float32], count: int) -> Floats:
    """A view of shape (count, LENGTH)."""
    return np.lib.stride_tricks.sliding_window_view(signal, LENGTH)[::STEP][:count]
