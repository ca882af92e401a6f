"""Where windows and their frames lie in a recording, and how many people speak in each frame.

Follows pyannote.core's `SlidingWindow` and pyannote.audio's `Inference.aggregate` and `speaker_count`, operation for
operation, since a frame that is rounded to the other side moves a turn's boundary.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from diarization_service.rows import Rows
from diarization_service.stages import Activity, Geometry
from serving.times import SAMPLE_RATE

Integers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint8]

FRAMES_AT_ONCE = 8192
"""Bounds the memory that computing over a recording's frames takes."""


class Grid:
    """The frames of a recording, into which those of every window fall."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def first_frames(self, windows: range) -> Integers:
        """The frame that each window starts with."""
        starts = np.arange(windows.start, windows.stop) * (self._geometry.step / SAMPLE_RATE)
        return self._closest(starts + 0.5 * self._geometry.frame_duration)

    def frames(self, windows: int) -> int:
        """Frames of a recording of so many windows; behind the last window there may be a few that none covers."""
        if not windows:
            return 0
        end = self._geometry.window / SAMPLE_RATE + (windows - 1) * (self._geometry.step / SAMPLE_RATE)
        return int(self._closest(np.array([end + 0.5 * self._geometry.frame_duration]))[0]) + 1

    def windows(self, start: int, stop: int, total: int) -> range:
        """Those of the first `total` windows that cover any of frames `start` up to `stop`."""
        firsts = self.first_frames(range(total))
        low, high = np.searchsorted(firsts, [start - self._geometry.frames + 1, stop])
        return range(int(low), int(high))

    def coverage(self, start: int, stop: int, total: int) -> Integers:
        """How many of the first `total` windows cover each of frames `start` up to `stop`."""
        firsts = self.first_frames(range(total))
        frames = np.arange(start, stop)
        begun = np.searchsorted(firsts, frames, side="right")
        ended = np.searchsorted(firsts + self._geometry.frames, frames, side="right")
        covering: Integers = begun - ended
        return covering

    def time(self, frame: int) -> float:
        """Seconds from the recording's start to the middle of a frame; turns start and end there."""
        start = frame * self._geometry.frame_step
        return 0.5 * (start + (start + self._geometry.frame_duration))

    def _closest(self, times: npt.NDArray[Any]) -> Integers:
        """The frames whose middles are closest; of two at the same distance the even one."""
        places = (times - 0.5 * self._geometry.frame_duration) / self._geometry.frame_step
        frames: Integers = np.rint(places).astype(np.int64)
        return frames


class SpeakerCount:
    """How many people speak in each frame, as the mean over the windows that cover it has it."""

    def __init__(self, geometry: Geometry) -> None:
        self._grid = Grid(geometry)
        self._frames = geometry.frames
        self._heard = Rows(1, np.uint16)
        self._windows = 0

    def add(self, activity: Activity) -> None:
        """The next windows' activity, shape (windows, frames, speakers)."""
        firsts = self._grid.first_frames(range(self._windows, self._windows + len(activity)))
        self._windows += len(activity)
        self._heard.grow(self._grid.frames(self._windows))
        heard = self._heard.rows[:, 0]
        for first, speakers in zip(firsts, activity.sum(axis=2, dtype=np.uint16), strict=True):
            heard[first : first + self._frames] += speakers

    def counts(self, start: int, stop: int) -> Counts:
        """In frames `start` up to `stop`, with the windows so far."""
        counts: Counts = np.zeros(stop - start, np.uint8)
        for low in range(start, stop, FRAMES_AT_ONCE):
            high = min(low + FRAMES_AT_ONCE, stop)
            heard = self._heard.rows[low:high, 0].astype(np.float32)
            windows = np.maximum(self._grid.coverage(low, high, self._windows), 1).astype(np.float32)
            counts[low - start : high - start] = np.rint(heard / windows)
        return counts
