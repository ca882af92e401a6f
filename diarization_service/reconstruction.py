"""From windows whose speakers have names to who speaks when.

The windows that cover a frame vote for the speakers they hear in it; as many speakers as were counted there, those with
most votes, speak. Equals pyannote.audio's `reconstruct`, `to_diarization` and `to_annotation` (with no minimum durations),
ties included, which NumPy's sort decides. Where they hold windows, frames and speakers at once, here a few thousand frames
are taken at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diarization_service.clustering import Labels, Mask
from diarization_service.counting import FRAMES_AT_ONCE, Counts, Grid, Integers
from diarization_service.runs import Run
from diarization_service.stages import Activity, Floats

NOBODY = -1
"""In place of a local speaker's name, where it has none or is silent."""

Bools = npt.NDArray[np.bool_]
Totals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NamedWindows:
    """The first windows of a recording, and whom they hear."""

    grid: Grid
    activity: Callable[[range], Activity]
    """Of some windows, shape (windows, frames, speakers)."""
    names: Integers
    """Of each window's local speakers, shape (windows, speakers); from 0 on, or NOBODY."""

    @property
    def people(self) -> int:
        """One more than the highest name."""
        return int(self.names.max(initial=NOBODY)) + 1

    def votes(self, start: int, stop: int, people: int) -> Floats:
        """How many windows hear each of `people` in frames `start` up to `stop`, shape (frames, people)."""
        found = np.zeros((people, stop - start), np.float32)
        windows = self.grid.windows(start, stop, len(self.names))
        firsts = self.grid.first_frames(windows).tolist()
        voices = self.activity(windows).transpose(0, 2, 1).copy()
        all_names = self.names[windows.start : windows.stop].tolist()
        for first, heard, names in zip(firsts, voices, all_names, strict=True):
            low, high = max(first, start), min(first + heard.shape[1], stop)
            for name in set(names) - {NOBODY}:
                voice = _voice(heard, [own == name for own in names])
                found[name, low - start : high - start] += voice[low - first : high - first]
        return np.ascontiguousarray(found.T)

    def coverage(self, start: int, stop: int) -> Integers:
        """How many windows vote in frames `start` up to `stop`; 1 where there is none."""
        return np.maximum(self.grid.coverage(start, stop, len(self.names)), 1)


def named_by(labels: Labels | Integers, speaking: Mask) -> Integers:
    """Names of each window's local speakers: `labels` of those who speak, in order of window, then of speaker."""
    names = np.full(speaking.shape, NOBODY, np.int64)
    names[speaking] = labels
    return names


def runs(windows: NamedWindows, counts: Counts, start: int = 0) -> tuple[list[Run], list[Run]]:
    """Who speaks when, and the same without overlaps, each in order of start, then end.

    `counts` says how many speak in each frame from frame `start` on.
    """
    if not windows.people:
        return [], []
    # Where more are counted than there are people, the rest are people whom no window hears.
    people = max(windows.people, int(counts.max(initial=0)))
    together, alone = _Runs(people, start), _Runs(windows.people, start)
    totals = np.zeros((1, people))
    for low in range(start, start + len(counts), FRAMES_AT_ONCE):
        most = counts[low - start : low - start + FRAMES_AT_ONCE]
        votes = windows.votes(low, low + len(most), people)
        shares = votes / windows.coverage(low, low + len(most))[:, None]
        totals = np.cumsum(np.vstack([totals[-1:], shares]), axis=0)
        together.add(speaking(votes, most), totals)
        alone.add(speaking(votes[:, : windows.people], np.minimum(most, 1)), totals)
    return together.ended(), alone.ended()


def speaking(votes: Floats, counts: Counts) -> Bools:
    """Who speaks in each frame, shape (frames, people): as many as counted, those with most votes."""
    order = np.argsort(np.ascontiguousarray(-votes), axis=-1)
    found = np.zeros(votes.shape, np.bool_)
    np.put_along_axis(found, order, np.arange(votes.shape[1]) < counts[:, None], axis=1)
    return found


def _voice(heard: Activity, own: list[bool]) -> Activity:
    """Where any of one person's own local speakers is active, shape (frames,), of (speakers, frames)."""
    voice: Activity = heard[own.index(True)] if own.count(True) == 1 else heard[own].max(axis=0)
    return voice


class _Runs:
    """Runs of all people, from frames that come some at a time."""

    def __init__(self, people: int, start: int) -> None:
        self._speaking = np.zeros((1, people), np.bool_)
        self._frame = start
        self._totals: Totals = np.zeros((1, people))
        self._changes: list[tuple[Integers, Integers, Totals]] = []

    def add(self, found: Bools, totals: Totals) -> None:
        """Who speaks in the next frames, and everybody's sum of shares before each of them and behind the last."""
        frames, people = np.nonzero(np.diff(np.vstack([self._speaking, found]), axis=0))
        self._changes.append((self._frame + frames, people, totals[frames, people]))
        self._speaking, self._totals = found[-1:], totals[-1:]
        self._frame += len(found)

    def ended(self) -> list[Run]:
        """In order of start, then end. Who speaks in the last frame stops behind it."""
        self.add(np.zeros_like(self._speaking), self._totals)
        frames, people, totals = (np.concatenate(parts) for parts in zip(*self._changes, strict=True))
        # Everybody's changes are in turn a start and a stop.
        order = np.lexsort((frames, people))
        starts, stops = order[0::2], order[1::2]
        shares = (totals[stops] - totals[starts]) / (frames[stops] - frames[starts])
        return sorted(
            map(Run, *(values.tolist() for values in (frames[starts], frames[stops], people[starts], shares)))
        )
