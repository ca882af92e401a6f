"""From a recording's early tracks to what is known while audio arrives, again and again at the price of what changed."""

from collections.abc import Sequence

from diarization_service.early_turns import Early
from diarization_service.runs import Track
from diarization_service.turns import Known, Turn, on_grid, speaker_name
from serving.times import SAMPLE_RATE


class KnownTurns:
    """One recording's."""

    def __init__(self) -> None:
        self._turns = _Converted()
        self._exclusive = _Converted()
        self._horizon = 0

    def known(self, early: Early, samples: int) -> Known:
        """Of a recording of which `samples` samples came. Nothing of it is final, and its horizon never goes back."""
        self._horizon = max(self._horizon, min(samples, round(early.horizon * SAMPLE_RATE)))
        return Known(
            self._turns.of(early.tracks, self._horizon),
            self._exclusive.of(early.exclusive, self._horizon),
            self._horizon,
            final_horizon=0,
        )


class _Converted:
    """The turns of a list of tracks of which most, mostly, are the same objects as they were the last time."""

    def __init__(self) -> None:
        self._tracks: Sequence[Track] = ()
        self._turns: Sequence[Turn | None] = ()
        self._samples = 0

    def of(self, tracks: Sequence[Track], samples: int) -> tuple[Turn, ...]:
        """Cut off at `samples` samples."""
        new = len(tracks) - len(self._tracks)
        before = [*zip(self._tracks, self._turns, strict=True), *[(None, None)] * new][: len(tracks)]
        turns = [
            turn if old is track and turn and turn.end < self._samples else _turn(track, samples)
            for track, (old, turn) in zip(tracks, before, strict=True)
        ]
        self._tracks, self._turns, self._samples = tracks, turns, samples
        return tuple(turn for turn in turns if turn)


def _turn(track: Track, samples: int) -> Turn | None:
    span = on_grid(track, samples)
    return span and span.turn(speaker_name(track.speaker))
