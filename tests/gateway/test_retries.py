from dataclasses import replace

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.channels import RECONNECT_SECONDS
from gateway.config import GatewayConfig
from gateway.outcomes import public_status
from gateway.retries import RetryPolicy, asked_wait

POLICY = RetryPolicy(attempts=9, backoff=0.2, max_backoff=2.0)
DOWN = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="ipv4:10.1.2.3:50051: connection refused")


def overloaded(seconds: int) -> status_pb2.Status:
    detail = Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    return status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[detail])


def test_waits_double_up_to_the_longest():
    waits = [POLICY.wait_after(attempt, DOWN, jitter=lambda: 0.0) for attempt in range(1, 9)]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0])


def test_nobody_counts_too_far():
    assert replace(POLICY, attempts=10_000).wait_after(5_000, DOWN, jitter=lambda: 0.0) == 2.0


def test_the_last_attempt_is_the_last():
    assert POLICY.wait_after(9, DOWN) is None


@pytest.mark.parametrize(("full_for", "wait"), [(0.0, 0.2), (1.0, 1.0), (60.0, 2.0)])
def test_a_backend_that_says_when_is_heard_within_reason(full_for, wait):
    assert POLICY.wait_after(1, overloaded(1), full_for, jitter=lambda: 0.0) == wait


@pytest.mark.parametrize("full_for", [0.0, 1.0, 60.0])
def test_waits_are_spread_and_never_shorter_than_was_asked(full_for):
    shortest, longest = (
        POLICY.wait_after(1, DOWN, full_for, jitter=lambda luck=luck: luck) for luck in (0.0, 1.0)
    )
    assert longest == pytest.approx(1.5 * shortest)


@pytest.mark.parametrize("seconds", [1, 60])
def test_what_a_backend_asks_for_is_found_in_its_status(seconds):
    assert asked_wait(overloaded(seconds)) == seconds
    assert asked_wait(DOWN) == 0.0


def test_callers_learn_when_to_come_back_and_nothing_of_the_inside():
    shown = public_status("speech recognition", overloaded(7))
    assert "speech recognition has no free place" in shown.message
    assert shown.details == overloaded(7).details
    shown = public_status("speech recognition", DOWN)
    assert shown.code == code_pb2.UNAVAILABLE
    assert "10.1.2.3" not in str(shown)


def test_calls_are_not_given_up_before_a_replica_that_comes_up_is_found():
    policy = GatewayConfig().retries
    waits = [policy.wait_after(attempt, DOWN, jitter=lambda: 0.0) for attempt in range(1, policy.attempts)]
    # gRPC lengthens its own waits by up to a fifth, and the new connection's health is asked before the first call.
    assert sum(waits) > 2 * RECONNECT_SECONDS
