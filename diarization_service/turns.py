"""Turns, and how tracks become turns. Pure.

A track is (start, end, label): seconds from the start of the recording, and whatever name the clustering gave the
speaker. Turns lie on the 16 kHz sample grid and inside the recording, are in order of time, and carry labels in order of
first appearance.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from serving.times import SAMPLE_RATE

Track = tuple[float, float, Hashable]


@dataclass(frozen=True)
class Turn:
    """One speaker, from sample `start` up to sample `end`."""

    start: int
    end: int
    speaker: str
    confidence: float | None = None
    """Mean over its frames of the share of the windows there that heard this speaker, 0 to 1; None for early turns."""


@dataclass(frozen=True)
class Known:
    """What is known while audio arrives, and, where both horizons are the recording's end, all of it.

    Both lists are in order of start; turns of `exclusive` do not overlap. Before sample `horizon`, no turn means that nobody
    spoke; before `final_horizon` nothing will change any more.
    """

    turns: tuple[Turn, ...] = ()
    exclusive: tuple[Turn, ...] = ()
    horizon: int = 0
    final_horizon: int = 0


@dataclass(frozen=True)
class Diarization:
    """Who speaks when in a recording of `samples` samples; `exclusive` is the same without overlaps."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    speakers: tuple[str, ...]
    samples: int
    embeddings: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By speaker, of length 1; none for who never spoke long enough alone."""

    @property
    def known(self) -> Known:
        """As the last state of what is known."""
        return Known(self.turns, self.exclusive, self.samples, self.samples)

    @property
    def overlaps(self) -> tuple[tuple[int, int], ...]:
        """Samples from where to where several speak; in order, and not touching each other."""
        return tuple(_joined(_overlaps(self.turns)))

    def samples_of(self, speaker: str) -> int:
        """Samples in which this one speaks."""
        return sum(turn.end - turn.start for turn in self.turns if turn.speaker == speaker)

    @property
    def speech_samples(self) -> int:
        """Samples in which somebody speaks; overlaps count once."""
        total = 0
        covered = 0
        for turn in self.turns:
            total += max(0, turn.end - max(turn.start, covered))
            covered = max(covered, turn.end)
        return total


class _Span(NamedTuple):
    start: int
    end: int
    label: Hashable


def diarization(tracks: Iterable[Track], exclusive_tracks: Iterable[Track], samples: int) -> Diarization:
    """Diarization of a recording of `samples` samples.

    `exclusive_tracks` must not overlap each other; both use the same labels. What lies outside the recording (the pipeline
    pads its last window) is cut off, and what is shorter than a sample is dropped.
    """
    spans = sorted(_on_grid(tracks, samples), key=_by_time)
    exclusive_spans = sorted(_on_grid(exclusive_tracks, samples), key=_by_time)
    names = _names([*spans, *exclusive_spans])
    return Diarization(
        turns=tuple(Turn(span.start, span.end, names[span.label]) for span in spans),
        exclusive=tuple(Turn(span.start, span.end, names[span.label]) for span in exclusive_spans),
        speakers=tuple(names.values()),
        samples=samples,
    )


def _on_grid(tracks: Iterable[Track], samples: int) -> Iterator[_Span]:
    for start, end, label in tracks:
        span = _Span(max(0, round(start * SAMPLE_RATE)), min(samples, round(end * SAMPLE_RATE)), label)
        if span.start < span.end:
            yield span


def _by_time(span: _Span) -> tuple[int, int]:
    return span.start, span.end


def _names(spans: Iterable[_Span]) -> dict[Hashable, str]:
    """A name for each label, in order of first appearance."""
    labels = dict.fromkeys(span.label for span in spans)
    return {label: f"SPEAKER_{index:02d}" for index, label in enumerate(labels)}


def _overlaps(turns: Iterable[Turn]) -> Iterator[tuple[int, int]]:
    """In order of start, what each of the turns has in common with those before it."""
    covered = 0
    for turn in turns:
        if turn.start < min(turn.end, covered):
            yield turn.start, min(turn.end, covered)
        covered = max(covered, turn.end)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order of start, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
