"""What the stages of diarization hand to each other. NumPy alone: the networks stand behind a protocol."""

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
class Block:
    """A stretch of audio whose embeddings are computed together: one window in exact mode, several in fast mode."""

    samples: Samples
    """Shape (samples,); zeros behind the recording's end."""
    starts: tuple[int, ...]
    """Sample within the block at which each of its windows starts."""
    masks: Floats
    """Frames that speak for each speaker, shape (windows, speakers, frames)."""


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

    def segment(self, windows: Floats) -> Activity:
        """Who is heard in windows of shape (windows, samples): (windows, frames, speakers). Raises MachineFailed."""
        ...

    def embed(self, blocks: list[Block]) -> list[Floats]:
        """For each block an array of shape (its windows, speakers, dimension); NaN where a mask is empty. Raises MachineFailed."""
        ...
