"""Who spoke when, once everything is computed: exact clustering, then reconstruction."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from diarization_service.clustering import Clusters, cluster
from diarization_service.counting import Grid, SpeakerCount
from diarization_service.reconstruction import NamedWindows, named_by, runs
from diarization_service.runs import Run, Track
from diarization_service.stages import Floats
from diarization_service.store import Store
from serving.speakers import SpeakerBounds

Check = Callable[[], object]


@dataclass(frozen=True)
class Answer:
    """Who speaks when in the whole recording."""

    tracks: tuple[Track, ...] = ()
    """In order of start, then end."""
    exclusive: tuple[Track, ...] = ()
    """The same without overlaps."""
    voices: dict[int, Floats] = field(default_factory=dict)
    """Mean embedding of each speaker that has a track, not of length 1; none for who never speaks long enough alone."""


def answer(store: Store, count: SpeakerCount, grid: Grid, bounds: SpeakerBounds, check: Check) -> Answer:
    """As pyannote.audio's pipeline has it, from all windows' results. Passes on what `check`, called now and then, raises."""
    last = grid.frames(store.windows) - 1
    counts = count.counts(0, last + 1)
    if not counts.any():
        return Answer()
    speaking = store.speaking
    clusters = cluster(store.embeddings, store.clean[speaking], bounds, check)
    named = NamedWindows(grid, store.activity, named_by(clusters.labels, speaking))
    together, alone = runs(named, np.minimum(counts, bounds.maximum or 255))
    tracks = _tracks(together, grid, last)
    return Answer(tracks, _tracks(alone, grid, last), _voices(tracks, clusters))


def _tracks(found: list[Run], grid: Grid, last: int) -> tuple[Track, ...]:
    """Who speaks in the last frame ends with its middle, and so says nothing there who only begins with it."""
    within = (run._replace(stop=min(run.stop, last)) for run in found if run.start < last)
    return tuple(Track.of(run, grid) for run in within)


def _voices(tracks: tuple[Track, ...], clusters: Clusters) -> dict[int, Floats]:
    """Speakers beyond the clusters are those whom no window hears."""
    heard = {track.speaker for track in tracks if track.speaker < len(clusters.centroids)}
    return {
        speaker: clusters.centroids[speaker]
        for speaker in sorted(heard)
        if np.isfinite(clusters.centroids[speaker]).all()
    }
