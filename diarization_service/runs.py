"""Stretches of frames in which one speaker speaks, and how those of a changed stretch take the old ones' place. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from diarization_service.counting import Grid


class Run(NamedTuple):
    """Frames `start` up to `stop` in which one speaker speaks."""

    start: int
    stop: int
    speaker: int
    share: float
    """Mean over the frames of the share of the windows there that heard this speaker."""


class Track(NamedTuple):
    """One speaker from `start` to `end`, in seconds from the start of the recording."""

    start: float
    end: float
    speaker: int
    confidence: float | None
    """Mean over its frames of the share of the windows there that heard this speaker, 0 to 1; None while that may change."""

    @classmethod
    def of(cls, run: Run, grid: Grid) -> "Track":
        return cls(grid.time(run.start), grid.time(run.stop), run.speaker, run.share)


def spliced(old: Iterable[Run], new: Iterable[Run], start: int, stop: int) -> list[Run]:
    """`old` with `new` in place of what lies from frame `start` up to `stop`, in order. Shares of joined runs mean nothing."""
    apart: list[Run] = []
    pieces = list(new)
    for run in old:
        if run.stop < start or run.start > stop:
            apart.append(run)
        else:
            pieces.extend(_outside(run, start, stop))
    return sorted([*apart, *_joined(pieces)])


def _outside(run: Run, start: int, stop: int) -> Iterator[Run]:
    """What of a run lies before `start` and from `stop` on."""
    if run.start < start:
        yield run._replace(stop=min(run.stop, start))
    if run.stop > stop:
        yield run._replace(start=max(run.start, stop))


def _joined(pieces: Iterable[Run]) -> list[Run]:
    """One speaker's pieces that touch as one run."""
    joined: list[Run] = []
    for piece in sorted(pieces, key=lambda run: (run.speaker, run.start)):
        if joined and (joined[-1].speaker, joined[-1].stop) == (piece.speaker, piece.start):
            joined[-1] = joined[-1]._replace(stop=piece.stop)
        else:
            joined.append(piece)
    return joined
