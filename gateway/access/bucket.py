"""A token bucket, counted from full."""

import math
from collections.abc import Callable


class Bucket:
    """What was spent of a budget that comes back evenly, the whole of it within `period` seconds.

    More may be spent than is there. Then the rest is owed, and comes back at the same pace. The budget is said at each use,
    since it may change meanwhile.
    """

    def __init__(self, period: float, clock: Callable[[], float]) -> None:
        self._period = period
        self._clock = clock
        self._spent = 0.0
        self._at = clock()

    def spend(self, amount: float, budget: float) -> None:
        self._bring_back(budget)
        self._spent += amount

    def wait(self, budget: float) -> float:
        """Seconds until something is left again; 0 where something is."""
        self._bring_back(budget)
        return max(0.0, self._spent - budget) / budget * self._period if budget < math.inf else 0.0

    def is_full(self, budget: float) -> bool:
        self._bring_back(budget)
        return self._spent == 0.0

    def _bring_back(self, budget: float) -> None:
        now = self._clock()
        elapsed, self._at = now - self._at, now
        back = elapsed / self._period * budget if budget < math.inf else math.inf
        self._spent = max(0.0, self._spent - back)
