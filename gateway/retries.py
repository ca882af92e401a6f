"""When a failed call is worth another, and after how long. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from google.rpc import code_pb2, error_details_pb2, status_pb2

from serving.times import seconds

# Another replica, or the same one a moment later, may do better.
_PASSING = {
    code_pb2.UNAVAILABLE,
    code_pb2.RESOURCE_EXHAUSTED,
    code_pb2.INTERNAL,
    code_pb2.UNKNOWN,
    code_pb2.ABORTED,
    code_pb2.CANCELLED,
}

# More would grow out of any float.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """`attempts` calls at most; waits, in seconds, double from `backoff` to `max_backoff`."""

    attempts: int
    backoff: float
    max_backoff: float

    def wait_after(
        self,
        attempt: int,
        status: status_pb2.Status,
        full_for: float = 0.0,
        jitter: Callable[[], float] = random.random,
    ) -> float | None:
        """How long to wait after the `attempt`-th call (from 1) ended with `status`; None to give up.

        `full_for` is in how many seconds a replica will take calls, by what they said. `jitter` gives 0 to 1: the wait is up
        to half longer at random, so that those who were refused together do not come back together.
        """
        if attempt >= self.attempts or not is_passing(status):
            return None
        doubled = self.backoff * 2 ** min(attempt - 1, _MOST_DOUBLINGS)
        wait: float = min(max(doubled, full_for), self.max_backoff)
        return wait * (1 + jitter() / 2)


def is_passing(status: status_pb2.Status) -> bool:
    """Whether another call may end better."""
    return status.code in _PASSING


def asked_wait(status: status_pb2.Status) -> float:
    """The wait, in seconds, that a status's RetryInfo asks for; 0 where it has none."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            asked: float = seconds(retry.retry_delay)
            return asked
    return 0.0
