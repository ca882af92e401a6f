"""What the networks found in one recording, packed: one bit for each frame and speaker, and no embedding of the silent.

Ten hours take 8 MB of activity and 37 MB for each speaker heard in every window (256 dimensions).
"""

import math

import numpy as np
import numpy.typing as npt

from diarization_service.clustering import Mask, clean_enough
from diarization_service.rows import Rows
from diarization_service.stages import Activity, Floats, Geometry


class Store:
    """Results of windows from the first one on."""

    def __init__(self, geometry: Geometry) -> None:
        self._shape = geometry.frames, geometry.speakers
        self._bits = Rows((geometry.frames * geometry.speakers + 7) // 8, np.uint8)
        self._speaking = Rows(geometry.speakers, np.bool_)
        self._clean = Rows(geometry.speakers, np.bool_)
        self._embeddings = Rows(geometry.dimension, np.float32)

    @property
    def windows(self) -> int:
        """Whose activity is known."""
        return len(self._bits.rows)

    @property
    def speaking(self) -> Mask:
        """Who speaks at all in each window, shape (windows, speakers). A view."""
        return self._speaking.rows

    @property
    def clean(self) -> Mask:
        """Who speaks alone for long enough in each window to found a cluster, shape (windows, speakers). A view."""
        return self._clean.rows

    @property
    def embeddings(self) -> Floats:
        """Of those who speak, in order of window, then of speaker, shape (speaking, dimension). A view."""
        return self._embeddings.rows

    def add_activity(self, activity: Activity) -> None:
        """Of the next windows, shape (windows, frames, speakers)."""
        self._bits.append(np.packbits(activity.reshape(len(activity), math.prod(self._shape)), axis=1))
        self._speaking.append(activity.max(axis=1).astype(np.bool_))
        self._clean.append(np.asarray(clean_enough(activity)))

    def activity(self, windows: range) -> Activity:
        """Shape (windows, frames, speakers)."""
        frames, speakers = self._shape
        bits = self._bits.rows[windows.start : windows.stop]
        return np.unpackbits(bits, axis=1, count=frames * speakers).reshape(-1, frames, speakers)

    def add_embeddings(self, windows: range, embeddings: Floats) -> None:
        """Of the next windows that anybody speaks in, shape (windows, speakers, dimension)."""
        self._embeddings.append(embeddings[self.speaking[windows.start : windows.stop]])


def masks(activity: Activity, geometry: Geometry) -> Floats:
    """Which frames speak for whom, shape (windows, speakers, frames), of activity (windows, frames, speakers).

    Those in which nobody else speaks, unless they are too few for an embedding: then all in which the speaker is active.
    pyannote.audio's `get_embeddings` with `embedding_exclude_overlap`.
    """
    alone = activity * (activity.sum(axis=2, keepdims=True) < 2)
    enough = alone.sum(axis=1, keepdims=True) > fewest_frames(geometry)
    chosen: npt.NDArray[np.uint8] = np.where(enough, alone, activity)
    return chosen.astype(np.float32).transpose(0, 2, 1)


def fewest_frames(geometry: Geometry) -> int:
    """More than so many frames make an embedding."""
    return -(-geometry.frames * geometry.least_samples // geometry.window)
