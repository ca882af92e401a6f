"""What early labels are judged by."""

import numpy as np
import pytest

from benchmarks.stability import NOBODY, Shown, agreement, labels
from diarization_service.early_turns import Early
from diarization_service.runs import Track


def turns(*spans: tuple[float, float, int]) -> tuple[Track, ...]:
    return tuple(Track(start, end, speaker, None) for start, end, speaker in spans)


def early(horizon: float, *spans: tuple[float, float, int]) -> Early:
    return Early(tracks=turns(*spans), exclusive=turns(*spans), horizon=horizon)


def test_labels_are_those_of_the_turns_and_nobodys_elsewhere() -> None:
    assert labels(turns((0.01, 0.03, 2), (0.04, 0.05, 0)), 6).tolist() == [NOBODY, 2, 2, NOBODY, 0, NOBODY]


def test_speakers_agree_whatever_their_names() -> None:
    assert agreement(np.array([5, 5, 5, 0, 0, NOBODY]), np.array([0, 0, 1, 1, 1, 1])) == 4


def test_the_first_label_counts_as_shown_the_last_as_last_and_each_change_once() -> None:
    shown = Shown(1000)
    shown.see(early(2.0), 11)
    shown.see(early(4.0, (2.0, 4.0, 0)), 13)
    shown.see(early(6.0, (2.0, 3.0, 0), (3.0, 6.0, 1)), 15)
    shown.see(early(8.0, (2.0, 6.0, 0), (6.0, 8.0, 1)), 17)
    found = shown.against(turns((2.0, 6.0, 1), (6.0, 10.0, 0)))
    assert found.shown == pytest.approx(4 / 6)
    assert found.last == 1
    assert found.changed == pytest.approx((1 + 3) / 6)
    assert (found.first_label, found.speakers) == (13, 2)


def test_what_comes_after_the_last_horizon_is_not_judged() -> None:
    shown = Shown(1000)
    shown.see(early(2.0, (0.0, 2.0, 0)), 11)
    found = shown.against(turns((0.0, 2.0, 0), (5.0, 9.0, 1)))
    assert (found.shown, found.speakers) == (1, 1)


def test_without_a_label_nothing_was_shown() -> None:
    found = Shown(1000).against(turns((0.0, 2.0, 0)))
    assert (found.shown, found.last, found.changed, found.first_label) == (0, 0, 0, None)
