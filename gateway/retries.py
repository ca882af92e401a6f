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


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """`attempts` calls at most; waits, in seconds, double from `backoff` to `max_backoff`."""

    attempts: int
    backoff: float
    max_backoff: float

    def wait_after(
        self, attempt: int, status: status_pb2.Status, jitter: Callable[[], float] = random.random
    ) -> float | None:
        """How long to wait after the `attempt`-th call (from 1) ended with `status`; None to give up.

        At least as long as the backend asks for, and never longer than `max_backoff`. `jitter` gives 0 to 1 and
        spreads the callers of a replica that went away.
        """
        if attempt >= self.attempts or status.code not in _PASSING:
            return None
        wait: float = self.backoff * 2 ** (attempt - 1) * (0.5 + jitter())
        return min(max(wait, asked_wait(status)), self.max_backoff)


def asked_wait(status: status_pb2.Status) -> float:
    """The wait, in seconds, that a status's RetryInfo asks for; 0 where it has none."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            asked: float = seconds(retry.retry_delay)
            return asked
    return 0.0
