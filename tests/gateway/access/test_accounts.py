"""How streams and audio are counted, by a clock that the tests turn."""

import math

import pytest
from prometheus_client import CollectorRegistry

from gateway.access.account import Account, LimitReached
from gateway.access.accounts import Accounts
from gateway.access.limits import CallersFile, Limits
from gateway.access.metrics import AccessMetrics
from serving.errors import PermissionDenied


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def opened(clock, **limits):
    return Account("billing", lambda: Limits(**limits), clock)


def decode(account, seconds):
    """A recording of this length, at once."""
    with account.stream():
        account.meter()(seconds)


def refused(account):
    with pytest.raises(LimitReached) as caught, account.stream():
        pass
    return caught.value


def test_as_many_streams_as_allowed_are_let_in_and_a_further_one_when_one_has_ended(clock):
    account = opened(clock, streams=2)
    with account.stream():
        with account.stream():
            assert refused(account).limit == "streams"
        with account.stream():
            pass


def test_a_stream_that_fails_gives_its_place_back(clock):
    account = opened(clock, streams=1)
    for _ in range(3):
        with pytest.raises(KeyError), account.stream():
            raise KeyError
    with account.stream():
        pass


def test_a_refused_stream_is_told_to_come_back_when_one_should_have_ended(clock):
    account = opened(clock, streams=2)
    with account.stream():
        clock.pass_by(40)
    with account.stream(), account.stream():
        # Streams last 40 s, and there are two of them.
        assert refused(account).retry_after == pytest.approx(20)


def test_before_any_stream_has_ended_the_oldest_tells_how_long_they_last(clock):
    account = opened(clock, streams=1)
    with account.stream():
        clock.pass_by(7)
        assert refused(account).retry_after == pytest.approx(7)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, 1.0), (7200.0, 60.0)])
def test_nobody_is_told_to_come_back_at_once_or_after_hours(clock, seconds, told):
    account = opened(clock, streams=1)
    with account.stream():
        clock.pass_by(seconds)
        assert refused(account).retry_after == told


def test_audio_within_the_budget_is_let_in_and_comes_back_evenly(clock):
    account = opened(clock, audio_minutes_per_hour=10)
    decode(account, 600)
    decode(account, 60)
    error = refused(account)
    assert error.limit == "audio_minutes_per_hour"
    # 60 s are owed, and 10 min come back in an hour.
    assert error.retry_after == pytest.approx(360)
    clock.pass_by(error.retry_after + 0.001)
    decode(account, 1)


def test_a_stream_in_flight_is_not_cut_and_what_it_went_over_is_owed(clock):
    account = opened(clock, audio_minutes_per_minute=1)
    with account.stream():
        count = account.meter()
        for seconds in range(0, 301, 10):
            count(float(seconds))
    assert refused(account).retry_after == pytest.approx(240)


def test_a_meter_counts_each_second_of_its_recording_once(clock):
    account = opened(clock, audio_minutes_per_minute=1)
    for _ in range(2):
        count = account.meter()
        for seconds in (10.0, 10.0, 20.0, 45.0):
            count(seconds)
    assert refused(account).retry_after == pytest.approx(30)


def test_the_shorter_and_the_longer_budget_both_count(clock):
    account = opened(clock, audio_minutes_per_minute=1, audio_minutes_per_hour=2)
    decode(account, 90)
    assert refused(account).limit == "audio_minutes_per_minute"
    clock.pass_by(60)
    decode(account, 90)
    clock.pass_by(60)
    assert refused(account).limit == "audio_minutes_per_hour"


def test_no_more_is_saved_up_than_the_budget(clock):
    account = opened(clock, audio_minutes_per_minute=1)
    clock.pass_by(24 * 3600)
    decode(account, 61)
    assert refused(account)


def test_limits_that_change_hold_for_what_was_used_before(clock):
    limits = Limits()
    account = Account("billing", lambda: limits, clock)
    decode(account, 600)
    limits = Limits(audio_minutes_per_hour=10)
    decode(account, 630)
    assert refused(account)
    limits = Limits(audio_minutes_per_hour=30)
    decode(account, 1)
    limits = Limits(audio_minutes_per_hour=math.inf)
    decode(account, 1)


def test_who_may_not_call_is_named(clock):
    with pytest.raises(PermissionDenied, match="billing may not"):
        opened(clock, allowed=False).check_allowed()


def accounts(clock):
    metrics = AccessMetrics(CollectorRegistry(), lambda _: False)
    limited = CallersFile(Limits(audio_minutes_per_hour=60))
    return Accounts(lambda: limited, metrics, clock)


def test_a_caller_keeps_its_account_while_there_is_something_in_it(clock):
    all_accounts = accounts(clock)
    busy, used, idle = (all_accounts.of(name) for name in ("busy", "used", "idle"))
    used.meter()(600.0)
    with busy.stream():
        for number in range(5000):
            all_accounts.of(str(number))
        assert all_accounts.of("busy") is busy
        assert all_accounts.of("used") is used
        assert all_accounts.of("idle") is not idle
    clock.pass_by(3600)
    assert used.is_idle
