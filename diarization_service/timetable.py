"""Calls in a thread of their own, one after the other, none before its time, and in a share of all time."""

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count


class Timetable:
    """Calls must not raise."""

    def __init__(self, name: str, share: float = 1.0) -> None:
        """All calls together take at most this share of one thread: after each there is a rest."""
        self._share = share
        self._rested = 0.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._news = threading.Condition()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def add(self, due: float, call: Callable[[], None]) -> None:
        """`due` is a time of `time.monotonic`."""
        with self._news:
            heapq.heappush(self._calls, (due, next(self._numbers), call))
            self._news.notify()

    def _run(self) -> None:
        while True:
            call = self._next()
            started = time.monotonic()
            call()
            self._rested = started + (time.monotonic() - started) / self._share

    def _next(self) -> Callable[[], None]:
        with self._news:
            while (delay := self._delay()) is None or delay > 0:
                self._news.wait(delay)
            return heapq.heappop(self._calls)[2]

    def _delay(self) -> float | None:
        """Seconds until the first call may be made; None without any."""
        return max(self._calls[0][0], self._rested) - time.monotonic() if self._calls else None
