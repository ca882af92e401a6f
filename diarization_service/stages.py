"""What the stages of diarization hand to each other. NumPy alone: the networks stand behind a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono at 16 kHz in [-1, 1)."""
Activity = npt.NDArray[np.uint8]
"""Who is heard in a window: 0 or 1, shape (frames, speakers), speakers local to the window."""
Floats = npt.NDArray[np.float32]


class MachineFailed(Exception):  # noqa: N818  named after what happened
    """Memory or the GPU gave out; nothing tells what state the process is in."""


@dataclass(frozen=True)
class Geometry:
    """How the networks see a recording."""

    window: int
    """Samples of a window."""
    step: int
    """Samples from one window's start to the next one's."""
    frames: int
    """Frames of a window."""
    speakers: int
    """Speakers that a window tells apart."""
    dimension: int
    """Of an embedding."""
    frame_duration: float
    """Seconds that a frame hears: the receptive field."""
    frame_step: float
    """Seconds from one frame to the next."""
    least_samples: int
    """Of speech, for an embedding."""


@dataclass(frozen=True)
class Windows:
    """Windows and the audio that they have in common; what is not a window's alone can be computed once for all."""

    samples: Samples
    """Shape (samples,); zeros behind the recording's end."""
    starts: tuple[int, ...]
    """Sample at which each window starts, in order; a multiple of the step."""

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, which: slice, window: int) -> "Windows":
        """Some neighbours, of `window` samples each, and no more of the audio than they need."""
        starts = self.starts[which]
        samples = self.samples[starts[0] : starts[-1] + window]
        return Windows(samples, tuple(start - starts[0] for start in starts))


@dataclass(frozen=True)
class Block(Windows):
    """Windows whose embeddings are computed together: one in exact mode, several in fast mode.

    The audio may be that of neighbours too, which then have the same array.
    """

    masks: Floats
    """Frames that speak for each speaker, shape (windows, speakers, frames)."""


def joined(parts: Sequence[Windows]) -> Windows:
    """The windows of all parts. What neighbours have in common is there once."""
    samples: list[Samples] = []
    starts: list[int] = []
    offset = 0
    for part in parts:
        if not samples or part.samples is not samples[-1]:
            offset += len(samples[-1]) if samples else 0
            samples.append(part.samples)
        starts.extend(offset + start for start in part.starts)
    return Windows(samples[0] if len(samples) == 1 else np.concatenate(samples), tuple(starts))


class Networks(Protocol):
    """The two networks on their device. Called by one thread."""

    @property
    def geometry(self) -> Geometry: ...

    @property
    def block_windows(self) -> int:
        """Consecutive windows that an embedding block may hold: 1 where embeddings are exact."""

    @property
    def segmentation_batch(self) -> int:
        """Windows to segment at once."""

    @property
    def embedding_batch(self) -> int:
        """Blocks to embed at once."""

    def segment(self, windows: Windows) -> Activity:
        """Who is heard in each window, shape (windows, frames, speakers). Raises MachineFailed."""
        ...

    def embed(self, blocks: list[Block]) -> list[Floats]:
        """For each block an array of shape (its windows, speakers, dimension); NaN where a mask is empty. Raises MachineFailed."""
        ...
