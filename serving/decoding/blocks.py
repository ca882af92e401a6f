"""Where all decoded samples pass: gathered into blocks, and counted."""

from collections.abc import Callable

import numpy as np

from serving.decoding.samples import MAX_BLOCK_SAMPLES, Samples, silence
from serving.times import SAMPLE_RATE


class BlockWriter:
    """Joins the samples of many small frames to blocks and passes each on once it is full."""

    def __init__(self, put: Callable[[Samples], None], check: Callable[[float], None]) -> None:
        """`check` is called with the seconds that there are, and raises where they are too many."""
        self._put = put
        self._check = check
        self._pending: list[Samples] = []
        self._pending_samples = 0
        # Samples written so far, passed on or not.
        self.position = 0

    def write(self, samples: Samples) -> None:
        """Raises what `check` raises, as soon as it does."""
        self.position += len(samples)
        self._check(self.position / SAMPLE_RATE)
        while self._pending_samples + len(samples) >= MAX_BLOCK_SAMPLES:
            split = MAX_BLOCK_SAMPLES - self._pending_samples
            self._append(samples[:split])
            self.flush()
            samples = samples[split:]
        self._append(samples)

    def write_silence(self, samples: int) -> None:
        while samples > 0:
            step = min(samples, MAX_BLOCK_SAMPLES)
            self.write(silence(step))
            samples -= step

    def flush(self) -> None:
        """Pass on what there is, full block or not."""
        if self._pending:
            block = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
            self._pending = []
            self._pending_samples = 0
            self._put(block)

    def _append(self, samples: Samples) -> None:
        if len(samples):
            self._pending.append(samples)
            self._pending_samples += len(samples)
