"""Hints on the number of speakers: what is taken, and which field is named when not."""

import pytest

from serving.errors import InvalidConfig
from serving.speakers import SpeakerBounds, speaker_bounds
from speech.diarization.v1.diarization_pb2 import SpeakerHints


@pytest.mark.parametrize(
    ("hints", "bounds"),
    [
        ({}, SpeakerBounds(None, None)),
        ({"exact": 3}, SpeakerBounds(3, 3)),
        ({"minimum": 2}, SpeakerBounds(2, None)),
        ({"maximum": 100}, SpeakerBounds(None, 100)),
        ({"minimum": 1, "maximum": 1}, SpeakerBounds(1, 1)),
        ({"minimum": 2, "maximum": 5}, SpeakerBounds(2, 5)),
    ],
)
def test_taken(hints: dict[str, int], bounds: SpeakerBounds) -> None:
    assert speaker_bounds(SpeakerHints(**hints)) == bounds


@pytest.mark.parametrize(
    ("hints", "field", "says"),
    [
        ({"exact": 0}, "exact", "0"),
        ({"exact": 101}, "exact", "101"),
        ({"minimum": -1}, "minimum", "-1"),
        ({"maximum": 101}, "maximum", "101"),
        ({"exact": 2, "minimum": 2}, "minimum", "exclude each other"),
        ({"exact": 2, "maximum": 2}, "maximum", "exclude each other"),
        ({"minimum": 5, "maximum": 4}, "minimum", "5"),
    ],
)
def test_refused(hints: dict[str, int], field: str, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says) as refusal:
        speaker_bounds(SpeakerHints(**hints))
    assert refusal.value.field == f"config.speakers.{field}"
