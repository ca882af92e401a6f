"""Turns, and how tracks become turns. Pure.

A track is (start, end, label) or (start, end, label, confidence): seconds from the start of the recording, whatever name the
clustering gave the speaker, and what the turn is to say of its confidence. Turns lie on the 16 kHz sample grid and inside the recording, are in order of time, and carry labels in order of
first appearance.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from serving.times import SAMPLE_RATE

Track = tuple[float, float, Hashable] | tuple[float, float, Hashable, float | None]


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


class Span(NamedTuple):
    """A track on the sample grid, its speaker not named yet."""

    start: int
    end: int
    label: Hashable
    confidence: float | None

    def turn(self, speaker: str) -> Turn:
        return Turn(self.start, self.end, speaker, self.confidence)


def diarization(
    tracks: Iterable[Track],
    exclusive_tracks: Iterable[Track],
    samples: int,
    voices: Mapping[Any, npt.NDArray[np.float32]] = MappingProxyType({}),
) -> Diarization:
    """Diarization of a recording of `samples` samples.

    `exclusive_tracks` must not overlap each other; both use the same labels. What lies outside the recording (the pipeline
    pads its last window) is cut off, and what is shorter than a sample is dropped. `voices` holds embeddings by label, of
    any length.
    """
    spans, exclusive_spans = _spans(tracks, samples), _spans(exclusive_tracks, samples)
    names = _names([*spans, *exclusive_spans])
    return Diarization(
        turns=tuple(span.turn(names[span.label]) for span in spans),
        exclusive=tuple(span.turn(names[span.label]) for span in exclusive_spans),
        speakers=tuple(names.values()),
        samples=samples,
        embeddings={names[label]: _direction(voice) for label, voice in voices.items() if label in names},
    )


def on_grid(track: Track, samples: int) -> Span | None:
    """The track within a recording of `samples` samples; None where nothing of it is left."""
    start, end, label, *confidence = track
    first, last = max(0, round(start * SAMPLE_RATE)), min(samples, round(end * SAMPLE_RATE))
    return Span(first, last, label, *(confidence or [None])) if first < last else None


def speaker_name(number: int) -> str:
    """A label as the contract says it."""
    return f"SPEAKER_{number:02d}"


def _spans(tracks: Iterable[Track], samples: int) -> list[Span]:
    """In order of time."""
    spans = (on_grid(track, samples) for track in tracks)
    return sorted((span for span in spans if span), key=_by_time)


def _by_time(span: Span) -> tuple[int, int]:
    return span.start, span.end


def _names(spans: Iterable[Span]) -> dict[Hashable, str]:
    """A name for each label, in order of first appearance."""
    labels = dict.fromkeys(span.label for span in spans)
    return {label: speaker_name(index) for index, label in enumerate(labels)}


def _direction(voice: npt.NDArray[np.float32]) -> list[float]:
    directions: list[float] = (voice / np.linalg.norm(voice)).tolist()
    return directions


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
