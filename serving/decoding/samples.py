"""What every part behind the decoder works with: mono samples at 16 kHz."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from serving.times import SAMPLE_RATE

# Mono, SAMPLE_RATE Hz, shape [samples]. Read-only: a block may share memory with the message it came in.
Samples: TypeAlias = npt.NDArray[np.int16]

# Long enough that a block's handling costs little, short enough for an early answer.
MAX_BLOCK_SAMPLES = SAMPLE_RATE

_FULL_SCALE = 32768.0


def to_float(block: Samples) -> npt.NDArray[np.float32]:
    """The same samples in [-1, 1), as models take them; shape [samples]."""
    return block.astype(np.float32) * np.float32(1 / _FULL_SCALE)


def silence(samples: int) -> Samples:
    return np.zeros(samples, np.int16)
