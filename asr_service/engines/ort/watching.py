"""How long the stages of a batch take, for whoever wants to know."""

import time
from collections.abc import Callable

Watch = Callable[[str, float], None]
"""Is told a stage, "features", "encoder" or "search", and its wall time in seconds; from any thread."""


def unwatched(stage: str, seconds: float) -> None:
    """Nobody wants to know."""


class Stopwatch:
    """Runs from when it is made. Stages may take turns."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._taken: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The stage took all the time since the last lap of any."""
        now = time.perf_counter()
        self._taken[stage] = self._taken.get(stage, 0.0) + now - self._last
        self._last = now

    def tell(self) -> None:
        """Of each stage, all of its laps together."""
        for stage, seconds in self._taken.items():
            self._watch(stage, seconds)
