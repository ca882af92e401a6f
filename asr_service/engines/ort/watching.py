"""How long the stages of a batch take, for whoever wants to know."""

import time
from collections.abc import Callable

Watch = Callable[[str, float], None]
"""Is told a stage, "features", "encoder" or "search", and its wall time in seconds; from any thread."""


def unwatched(stage: str, seconds: float) -> None:
    """Nobody wants to know."""


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The stage took all the time since the one before."""
        now = time.perf_counter()
        self._watch(stage, now - self._last)
        self._last = now
