"""Diarization error rate, as pyannote.metrics computes it."""

from collections.abc import Iterable

from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from benchmarks.corpus import Recording, Turn


def diarization_error_rate(recording: Recording, turns: Iterable[Turn]) -> float:
    """Missed, falsely heard and confused speech over the reference's, overlap included, without a collar."""
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    whole = Timeline([Segment(0.0, recording.seconds)])
    return float(metric(_annotation(recording.turns), _annotation(turns), uem=whole))


def names_of(recording: Recording, turns: Iterable[Turn]) -> dict[str, str]:
    """The reference's speaker for each label, as the error rate above matches them; none for those who are too many."""
    metric = DiarizationErrorRate()
    mapping: dict[str, str] = metric.optimal_mapping(_annotation(recording.turns), _annotation(turns))
    return mapping


def _annotation(turns: Iterable[Turn]) -> Annotation:
    annotation = Annotation()
    for index, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), index] = turn.speaker
    return annotation
