"""Recordings that the deterministic services make something of: who speaks is written into samples of loud noise."""

import numpy as np

from benchmarks.deterministic.written import WRITTEN, conversation


def recording(people: int, seconds: float, seed: int) -> bytes:
    """16-bit mono samples at 16 kHz: `people` speak for a few seconds in turn, now and then two at once or none."""
    written = np.frombuffer(conversation(people, seconds, seed), "<i2")
    # Below it lies who speaks; at least once, so that it is loud, and in 16 bits.
    noise = WRITTEN * np.random.default_rng(seed).integers(1, 32, len(written))
    return np.where(written < 0, written - noise, 0).astype("<i2").tobytes()
