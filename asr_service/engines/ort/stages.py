"""What the stages of this engine hand to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from asr_service.engines.base import Samples

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


class FrontEnd(Protocol):
    """Computes one utterance's features as the model's family was trained. Pure; lets go of the interpreter's lock."""

    @property
    def bins(self) -> int:
        """Size of a feature frame."""

    @property
    def padding(self) -> float:
        """What stands in the frames behind a shorter utterance's last one."""

    def frames(self, samples: int) -> int:
        """How many frames so many samples give."""

    def __call__(self, samples: Samples) -> Floats:
        """Features of shape (frames, bins) from samples of shape (samples,), mono at 16 kHz in [-1, 1)."""


@dataclass(frozen=True)
class Encoded:
    """A batch as the encoder gave it, on the device where it was computed."""

    outputs: Mapping[str, onnxruntime.OrtValue]
    """By the encoder's own output names."""
    lengths: Integers
    """Encoder frames that hold something, shape (batch,)."""


@dataclass(frozen=True)
class Hypotheses:
    """What a greedy search found. Row b holds counts[b] tokens in its first columns; the rest is filling."""

    tokens: Integers
    """Shape (batch, longest)."""
    frames: Integers
    """The encoder frame that each token was emitted at, shape (batch, longest)."""
    log_probs: Floats
    """Natural logarithm of each token's probability, shape (batch, longest)."""
    counts: Integers
    """Shape (batch,)."""
    durations: Integers | None = None
    """Encoder frames that each token lasts, shape (batch, longest); TDT models say."""


class Search(Protocol):
    """Finds the tokens in an encoder's output, all rows at once."""

    def __call__(self, encoded: Encoded, options: onnxruntime.RunOptions | None = None) -> Hypotheses:
        """ONNX Runtime raises where `options` end the run."""
        ...
