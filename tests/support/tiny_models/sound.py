"""Sound for the tiny models: bursts of noise with silence between them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000

BURST_SECONDS = 0.24
"""Long enough for every model's coarsest frame; starts should lie 0.48 s apart or more."""


def bursts(
    starts: Sequence[float], seconds: float, *, seed: int = 0, length: float = BURST_SECONDS
) -> npt.NDArray[np.float32]:
    """Mono samples at 16 kHz, with a burst from each of `starts` (in seconds) on."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    noise = np.random.default_rng(seed)
    for start in starts:
        first = round(start * SAMPLE_RATE)
        count = min(round(length * SAMPLE_RATE), len(samples) - first)
        samples[first : first + count] = noise.uniform(-0.3, 0.3, count)
    return samples
