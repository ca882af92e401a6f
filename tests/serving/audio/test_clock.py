"""Stamps against what was decoded: jitter is ignored, gaps and overlaps are told, new starts are followed."""

from hypothesis import given
from hypothesis import strategies as st

from serving.decoding.clock import Clock


def test_jitter_is_no_gap():
    clock = Clock(0.0, restarts=False)
    assert [clock.gap(stamp, position) for stamp, position in [(0.09, 0.0), (0.91, 1.0), (2.09, 2.0)]] == [
        0,
        0,
        0,
    ]


def test_gaps_are_told():
    clock = Clock(5.0, restarts=False)
    assert clock.gap(5.5, 0.0) == 0.5
    assert clock.gap(3_605.0, 0.5) == 3_599.5


def test_first_stamp_is_the_start_where_none_is_known():
    clock = Clock(None, restarts=False)
    assert clock.gap(77.0, 0.0) == 0
    assert clock.gap(78.0, 0.5) == 0.5


def test_overlap_is_dropped_until_the_stamps_fit_again():
    clock = Clock(0.0, restarts=False)
    position = 10.0
    kept = [stamp for stamp in (9.5, 9.6, 9.7, 9.8, 9.9, 10.0, 10.1) if clock.gap(stamp, position) >= 0]
    assert kept == [10.0, 10.1]


def test_after_a_loss_the_stamp_is_taken_at_its_word():
    clock = Clock(0.0, restarts=False)
    clock.expect_loss()
    assert clock.gap(1.05, 1.0) > 0
    assert clock.gap(2.05, 2.0) == 0


def test_stamps_may_start_anew():
    clock = Clock(0.0, restarts=True)
    assert clock.gap(0.0, 60.0) == 0
    assert clock.gap(1.0, 61.0) == 0
    assert clock.gap(10_000.0, 62.0) == 0
    assert clock.gap(10_001.0, 63.0) == 0
    assert clock.gap(10_003.0, 64.0) == 1.0


@given(st.lists(st.floats(-0.09, 0.09), max_size=50))
def test_wandering_stamps_never_move_the_clock(errors):
    clock = Clock(0.0, restarts=False)
    assert all(clock.gap(index + error, float(index)) == 0 for index, error in enumerate(errors))


def test_leap_backwards_is_a_new_start():
    clock = Clock(0.0, restarts=False)
    assert clock.gap(0.0, 6.0) == 0
    assert clock.gap(1.5, 7.0) == 0.5
    clock = Clock(0.0, restarts=True)
    assert clock.gap(0.0, 0.5) == 0
    assert clock.gap(0.5, 1.0) == 0
