"""From the pipeline's tracks to the contract's turns. Pure.

A track is (start, end, label): seconds from the start of the recording, and whatever name the clustering gave the
speaker. Turns lie on the 16 kHz sample grid and inside the recording, are in order of time, and carry labels in order of
first appearance.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from serving.times import SAMPLE_RATE, samples_to_duration
from speech.audio.v1.audio_pb2 import TimeSpan
from speech.diarization.v1 import diarization_pb2
from speech.diarization.v1.diarization_pb2 import DiarizationCompleted, TurnsUpdate

Track = tuple[float, float, Hashable]

# Keeps one update near 0.5 MB where gRPC clients take 4 MiB by default.
TURNS_PER_UPDATE = 10_000


@dataclass(frozen=True, order=True)
class Turn:
    """One speaker, from sample `start` up to sample `end`."""

    start: int
    end: int
    speaker: str


@dataclass(frozen=True)
class Diarization:
    """Who speaks when in a recording of `samples` samples; `exclusive` is the same without overlaps."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    speakers: tuple[str, ...]
    samples: int

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


def updates(found: Diarization, turns_per_update: int = TURNS_PER_UPDATE) -> Iterator[TurnsUpdate]:
    """The whole diarization as updates that, applied in order, give its turns; at least one."""
    starts = [0, *(turn.start for turn in found.turns[turns_per_update::turns_per_update])]
    for start, end in zip(starts, [*starts[1:], found.samples], strict=True):
        update = TurnsUpdate(
            turns=_messages(found.turns, start, end),
            exclusive_turns=_messages(found.exclusive, start, end),
            horizon=samples_to_duration(end),
            final_horizon=samples_to_duration(end),
        )
        # `from` is a keyword in Python, so the field goes by its name as a string.
        getattr(update, "from").CopyFrom(samples_to_duration(start))
        yield update


def completed(found: Diarization) -> DiarizationCompleted:
    """The totals; timing is the caller's to add."""
    return DiarizationCompleted(
        speakers=found.speakers,
        turns=len(found.turns),
        speech_duration=samples_to_duration(found.speech_samples),
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


def _messages(turns: Iterable[Turn], start: int, end: int) -> list[diarization_pb2.Turn]:
    """The turns that start from sample `start` on and before sample `end`."""
    return [
        diarization_pb2.Turn(
            span=TimeSpan(start=samples_to_duration(turn.start), end=samples_to_duration(turn.end)),
            speaker=turn.speaker,
        )
        for turn in turns
        if start <= turn.start < end
    ]
