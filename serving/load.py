"""How loaded a service is, in the terms of the Open Request Cost Aggregation (ORCA), by which clients may balance.

A report is an xds.data.orca.v3.OrcaLoadReport (https://github.com/cncf/xds/blob/main/xds/data/orca/v3/orca_load_report.proto).
Of it three fields are told, all doubles, and encoded here: the package that ships the message, xds-protos, overwrites modules
of googleapis-common-protos and opentelemetry-proto.
"""

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Calls that ended so long ago do not count any more, in seconds.
_WINDOW_SECONDS = 60.0

# Each call weighs this much less than the one after it, so that the last ten or so decide.
_MEMORY = 0.9

# Field numbers of OrcaLoadReport.
_RPS, _EPS, _UTILIZATION = 6, 7, 9
_DOUBLE = 1  # protobuf's wire type


@dataclass(frozen=True)
class Load:
    """`utilization` is 1 when the service takes no more; calls are those that upload."""

    utilization: float
    ended_per_second: float
    failed_per_second: float

    def encoded(self) -> bytes:
        fields = (
            (_RPS, self.ended_per_second),
            (_EPS, self.failed_per_second),
            (_UTILIZATION, self.utilization),
        )
        return b"".join(struct.pack("<Bd", number << 3 | _DOUBLE, value) for number, value in fields)


class Rates:
    """Of the calls that ended lately. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: deque[tuple[float, bool]] = deque()
        self._seconds = 0.0
        self._weights = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around a call, which fails with any exception."""
        started, failed = self._clock(), True
        try:
            yield
            failed = False
        finally:
            now = self._clock()
            # Not all who count are ever asked.
            self._recent().append((now, failed))
            self._seconds = _MEMORY * self._seconds + now - started
            self._weights = _MEMORY * self._weights + 1

    @property
    def ended(self) -> float:
        """Calls a second."""
        return len(self._recent()) / _WINDOW_SECONDS

    @property
    def failed(self) -> float:
        """Calls a second."""
        return sum(failed for _, failed in self._recent()) / _WINDOW_SECONDS

    @property
    def seconds(self) -> float:
        """That a call takes; 0 before one has ended."""
        return self._seconds / self._weights if self._weights else 0.0

    def _recent(self) -> deque[tuple[float, bool]]:
        while self._ends and self._ends[0][0] < self._clock() - _WINDOW_SECONDS:
            self._ends.popleft()
        return self._ends
