"""How load is judged: who gets how much, how long the event loop is late, what grows."""

import math

import pytest

from benchmarks.load.figures import fairness
from benchmarks.load.lag import Lag
from benchmarks.load.steadiness import trend


def test_fairness_is_one_among_equals_and_falls_with_each_who_gets_nothing() -> None:
    assert fairness([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert fairness([6.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert fairness([0.0, 0.0]) == 1.0


def test_lag_lies_evenly_between_the_bounds_of_its_histogram() -> None:
    lag = Lag({0.01: 90.0, 0.05: 98.0, 0.1: 100.0, math.inf: 100.0})
    assert lag.quantile(0.5) == pytest.approx(0.01 * 50 / 90)
    assert lag.quantile(0.94) == pytest.approx(0.03)
    assert lag.quantile(0.99) == pytest.approx(0.075)
    assert lag.longest == 0.1
    assert lag.share_within(0.05) == pytest.approx(0.98)


def test_lag_behind_the_last_bound_is_unknown() -> None:
    lag = Lag({0.05: 1.0, math.inf: 2.0})
    assert lag.quantile(0.99) == 0.05
    assert lag.longest == math.inf


def test_lag_is_told_between_two_looks() -> None:
    before, after = Lag({0.05: 5.0, math.inf: 7.0}), Lag({0.05: 9.0, math.inf: 11.0})
    assert after.since(before).counts == {0.05: 4.0, math.inf: 4.0}


def test_what_grows_is_not_flat() -> None:
    seconds = [5.0 * number for number in range(240)]
    noise = [(number * 7919) % 13 / 13 for number in range(240)]
    growing = trend(seconds, [100 + 30 * at / 3600 + more for at, more in zip(seconds, noise, strict=True)])
    assert growing.low < 30 < growing.high
    assert not growing.is_flat
    steady = trend(seconds, [100 + more for more in noise])
    assert steady.low < 0 < steady.high
    assert steady.is_flat


def test_a_trend_needs_three_minutes() -> None:
    with pytest.raises(ValueError, match="three minutes"):
        trend([0.0, 61.0, 130.0], [1.0, 1.0, 1.0])
