import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from serving.times import SAMPLE_RATE, duration, samples_to_duration, seconds

A_DAY = 24 * 3600


@given(st.integers(0, A_DAY * SAMPLE_RATE))
def test_a_sample_count_survives_every_way_through_a_duration(samples):
    exact = samples_to_duration(samples)

    assert exact.seconds * 10**9 + exact.nanos == samples * 62_500
    assert seconds(exact) == samples / SAMPLE_RATE
    assert duration(samples / SAMPLE_RATE) == exact


@given(st.floats(-A_DAY, A_DAY))
def test_seconds_are_rounded_to_the_nearest_nanosecond(value):
    assert (
        abs(seconds(duration(value)) - value) <= 0.5e-9 + 1e-11
    )  # half a nanosecond, and float's own grain at a day


def test_rounds_up_to_a_whole_second():
    assert duration(1.9999999999) == Duration(seconds=2)


def test_a_time_before_the_start_has_one_sign():
    assert duration(-1.5) == Duration(seconds=-1, nanos=-500_000_000)


@pytest.mark.parametrize("impossible", [float("nan"), float("inf")])
def test_refuses_what_is_no_time(impossible):
    with pytest.raises((ValueError, OverflowError)):
        duration(impossible)
