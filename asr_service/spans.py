"""What a recording's trace shows of the engine: how long its utterances waited, and the batches that computed them."""

import math

from asr_service.jobs import Decoded, Run
from serving import tracing

# A recording may have hundreds of batches. All count, and the first of them are spans of their own.
_MOST_BATCHES = 16


class EngineSpans:
    """One recording's, gathered while it runs."""

    def __init__(self) -> None:
        self._first_arrived = math.inf
        self._waited = self._longest_wait = 0.0
        self._ended = self._compute_seconds = 0.0
        self._utterances = self._batches = 0
        self._shown: list[Run] = []
        self._last: Run | None = None

    def add(self, decoded: Decoded) -> None:
        """In the order of the recording, in which they were queued."""
        waited = decoded.run.began - decoded.arrived
        self._first_arrived = min(self._first_arrived, decoded.arrived)
        self._waited += waited
        self._longest_wait = max(self._longest_wait, waited)
        self._compute_seconds += decoded.seconds
        self._utterances += 1
        if decoded.run is not self._last:
            self._add_run(decoded.run)

    def record(self) -> None:
        """Also of a recording that failed or was cancelled."""
        if not self._shown or self._last is None:
            return
        tracing.over(
            "queue",
            self._first_arrived,
            self._last.began,
            utterances=self._utterances,
            wait_seconds=self._waited,
            longest_wait_seconds=self._longest_wait,
        )
        compute = tracing.over(
            "compute",
            self._shown[0].began,
            self._ended,
            utterances=self._utterances,
            batches=self._batches,
            compute_seconds=self._compute_seconds,
        )
        for run in self._shown:
            tracing.over("batch", run.began, run.ended, parent=compute, utterances=run.utterances)

    def _add_run(self, run: Run) -> None:
        self._last = run
        # Batches that are decoded side by side may end in another order.
        self._ended = max(self._ended, run.ended)
        self._batches += 1
        if len(self._shown) < _MOST_BATCHES:
            self._shown.append(run)
