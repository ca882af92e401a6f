"""Many utterances made of one recording."""

import numpy as np

from asr_service.engines.base import Samples
from serving.times import SAMPLE_RATE

SHORTEST, LONGEST = 0.1, 30.0
"""Seconds."""


def utterances(speech: Samples, count: int, *, seed: int, longest: float = LONGEST) -> list[Samples]:
    """Cuts of `speech` between SHORTEST and `longest` seconds, at many levels and in many noises; the same for a seed.

    As many short as long ones on a logarithmic scale, the shortest and the longest among them.
    """
    source = np.random.default_rng(seed)
    seconds = np.exp(np.linspace(np.log(SHORTEST), np.log(longest), count))
    return [_cut(speech, round(length * SAMPLE_RATE), source) for length in source.permutation(seconds)]


def _cut(speech: Samples, length: int, source: np.random.Generator) -> Samples:
    """From anywhere in `speech`, which is taken as a ring, under white noise from hardly audible to louder than it."""
    start = source.integers(len(speech))
    cut = np.roll(speech, -start)[:length]
    noise = source.normal(scale=np.sqrt(np.mean(cut**2)) * 10 ** source.uniform(-2, 0.2), size=len(cut))
    mixed = (cut + noise) * 10 ** source.uniform(-0.7, 0.3)
    return np.clip(mixed, -1, 1).astype(np.float32)
