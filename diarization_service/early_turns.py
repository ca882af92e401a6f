"""Who speaks when while audio arrives: kept up to a horizon, and computed again only where windows came or changed names."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from diarization_service.clustering import Mask
from diarization_service.counting import Grid, Integers, SpeakerCount
from diarization_service.reconstruction import NamedWindows, named_by, runs
from diarization_service.runs import Run, Track, spliced
from diarization_service.stages import Floats, Geometry
from diarization_service.store import Store

# Changed windows that lie less far apart are computed in one go.
_NEAR = 10


class EarlyClustering(Protocol):
    """Incremental clustering with bounded cost per update: `diarization_service.early`."""

    def add(self, embeddings: Floats, clean: Mask) -> None:
        """The next local speakers, in order of window, then of speaker.

        `embeddings` has shape (local speakers, dimension), NaN where there is none; `clean` as for the final clustering.
        """
        ...

    def labels(self) -> Integers:
        """The speaker of every local speaker added so far, from 0; -1 where none is known yet."""
        ...


@dataclass(frozen=True)
class Early:
    """Who speaks when as far as known while audio arrives."""

    tracks: tuple[Track, ...]
    """In order of start, then end. Those that did not change since the last time are the same objects."""
    exclusive: tuple[Track, ...]
    """The same without overlaps."""
    horizon: float
    """Seconds up to which they are known."""


class EarlyTurns:
    """The early turns of one recording."""

    def __init__(self, clustering: EarlyClustering, geometry: Geometry) -> None:
        self._clustering = clustering
        self._geometry = geometry
        self._grid = Grid(geometry)
        self._added = 0
        self._names = np.zeros((0, geometry.speakers), np.int64)
        self._together: list[Run] = []
        self._alone: list[Run] = []
        self._horizon = 0
        self._tracks: dict[tuple[int, int, int], Track] = {}

    def update(self, store: Store, count: SpeakerCount, windows: int, most: int | None) -> Early | None:
        """Turns from the first `windows` windows, whose embeddings are known; None where nothing changed.

        At most `most` speak at once.
        """
        speaking = store.speaking[:windows]
        self._add(store, speaking)
        named = NamedWindows(self._grid, store.activity, named_by(self._clustering.labels(), speaking))
        changed = self._changed(named.names)
        if not changed:
            return None
        self._names = named.names
        self._horizon = self._reached(windows)
        for stretch in changed:
            self._renew(named, count, stretch, most)
        return self._known()

    def _add(self, store: Store, speaking: Mask) -> None:
        """Give the clustering what it has not seen yet."""
        places = np.nonzero(speaking)
        new = slice(self._added, len(places[0]))
        if new.start < new.stop:
            clean = store.clean[places[0][new], places[1][new]]
            self._clustering.add(store.embeddings[new].copy(), clean)
            self._added = new.stop

    def _changed(self, names: Integers) -> list[range]:
        """Stretches of windows that are new or named anew."""
        old = len(self._names)
        renamed = np.flatnonzero((names[:old] != self._names).any(axis=1))
        return list(_stretches([*renamed.tolist(), *range(old, len(names))]))

    def _reached(self, windows: int) -> int:
        """Where the next window starts: before it all votes are in. Up to the last one's middle, twice as many would be wrong.

        Only within the recording's first window it goes as far as that, so that the first label comes soon.
        """
        last, following = map(int, self._grid.first_frames(range(windows - 1, windows + 1)))
        frames = self._geometry.frames
        return max(following, min(last + frames // 2, frames))

    def _renew(self, named: NamedWindows, count: SpeakerCount, stretch: range, most: int | None) -> None:
        firsts = self._grid.first_frames(stretch)
        start, stop = int(firsts[0]), min(self._horizon, int(firsts[-1]) + self._geometry.frames)
        if start < stop:
            together, alone = runs(named, np.minimum(count.counts(start, stop), most or 255), start)
            self._together = spliced(self._together, together, start, stop)
            self._alone = spliced(self._alone, alone, start, stop)

    def _known(self) -> Early:
        held = self._tracks
        self._tracks = {
            run[:3]: held.get(run[:3]) or Track.of(run, self._grid)._replace(confidence=None)
            for run in (*self._together, *self._alone)
        }
        return Early(
            tracks=tuple(self._tracks[run[:3]] for run in self._together),
            exclusive=tuple(self._tracks[run[:3]] for run in self._alone),
            horizon=self._grid.time(self._horizon),
        )


def _stretches(windows: list[int]) -> Iterator[range]:
    """Ranges that hold all of `windows`, which are in order, and what lies between near ones."""
    if not windows:
        return
    start = windows[0]
    for window, following in pairwise([*windows, windows[-1] + _NEAR + 1]):
        if following - window > _NEAR:
            yield range(start, window + 1)
            start = following
