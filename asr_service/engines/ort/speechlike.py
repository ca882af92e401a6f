"""Sound that moves an acoustic model much as speech does, made of nothing but arithmetic."""

import numpy as np
import numpy.typing as npt

from asr_service.engines.base import Samples
from serving.times import SAMPLE_RATE

_Numbers = npt.NDArray[np.float64]


def speech_like(seconds: float, *, seed: int = 0) -> Samples:
    """A voice without words: harmonics under moving formants, hisses, and pauses. Always the same for a seed.

    Shape (samples,), mono at 16 kHz.
    """
    count = max(1, round(seconds * SAMPLE_RATE))
    time = np.arange(count) / SAMPLE_RATE
    # A syllable takes a quarter of a second and begins with a hiss; a phrase of eight ends in a pause of two.
    syllable, phase = np.divmod(time * 4.0, 1.0)
    loudness = np.sin(np.pi * phase) ** 2 * (syllable % 10 < 8)
    hiss = np.exp(-(((phase - 0.08) / 0.05) ** 2)) * (syllable % 3 == 0) * (syllable % 10 < 8)
    sound = 0.3 * loudness * _voice(time, seed) + 0.05 * hiss * _noise(count, seed)
    return np.asarray(sound + 1e-4 * _noise(count, seed + 1), np.float32)


def _voice(time: _Numbers, seed: int) -> _Numbers:
    """Harmonics of a pitch that wanders around 120 to 160 Hz, each as loud as three formants in motion make it."""
    pitch = (
        120.0
        + 10.0 * (seed % 5)
        + 25.0 * np.sin(2 * np.pi * 0.7 * time)
        + 8.0 * np.sin(2 * np.pi * 2.3 * time)
    )
    angle = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = (
        (550.0 + 250.0 * np.sin(2 * np.pi * 1.1 * time), 90.0, 1.0),
        (1500.0 + 600.0 * np.sin(2 * np.pi * 1.7 * time + seed), 130.0, 0.6),
        (2600.0 + 300.0 * np.sin(2 * np.pi * 0.9 * time), 200.0, 0.3),
    )
    sound = np.zeros_like(time)
    for number in range(1, 26):
        heard = sum(level / (1 + ((number * pitch - at) / width) ** 2) for at, width, level in formants)
        sound += heard * np.sin(number * angle)
    return sound / 3


def _noise(count: int, seed: int) -> _Numbers:
    """Uniform in [-1, 1), of raw bits, since NumPy may change how it makes distributions from them."""
    return np.random.PCG64(seed).random_raw(count) / 2.0**63 - 1.0
