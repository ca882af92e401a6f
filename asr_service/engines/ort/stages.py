"""What the stages of this engine hand to each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from asr_service.engines.base import Samples
from asr_service.engines.ort.graphs.builder import Graph

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


class GraphFrontEnd(FrontEnd, Protocol):
    """One whose features an ONNX graph can compute as well (features/graph.py), from the same constants."""

    def heard(self, samples: int) -> int:
        """How many of a row's frames hold something of so many samples."""

    def surrounded(self, samples: Samples) -> Sequence[Samples]:
        """The samples, and what stands before and behind them, from the first frame's first sample on."""

    def matrices(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """From frames of samples to spectra, and from the squares of these to power in bands."""

    def finish(self, graph: Graph, power: str, heard: str) -> str:
        """Adds what makes features of power, (batch, frames, bins), where `heard`, (batch, frames, 1), and padding elsewhere."""


class Part(NamedTuple):
    """Of a batch, in the order of its utterances."""

    utterances: int
    rows: int
    """No fewer; the last utterance stands in those that are left."""


class BatchFeatures(Protocol):
    """A batch on its way to the encoder."""

    @property
    def utterances(self) -> int:
        """How many there are."""

    @property
    def frames(self) -> int:
        """Of every row, padding included."""

    def parts(self, parts: Sequence[Part]) -> Iterator[tuple[Floats | onnxruntime.OrtValue, Integers]]:
        """Features of each part, (rows, frames, bins) or (rows, bins, frames), and how many frames are a row's own.

        A part's may be computed no sooner than they are asked for.
        """


class Features(Protocol):
    """Computes batches of features. Shared by all threads."""

    def __call__(self, batch: Sequence[Samples], longest: int | None = None) -> BatchFeatures:
        """As long as `longest` samples have them, or else as the longest utterance. Raises ValueError where one is longer."""


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
