"""What the engine has computed so far, exactly: metrics have buckets, and KServe's ModelStatistics asks for numbers.

Utterances are counted, of all callers: they are what is queued and batched. Times are those of the event loop's clock.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field

from asr_service.jobs import Batch


@dataclass
class Tally:
    """How often something happened, and how many seconds it took all together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds


@dataclass
class EngineStatistics:
    """Belongs to one event loop."""

    last: float | None = None
    """When the last batch was done, in seconds since the epoch."""
    waited: Tally = field(default_factory=Tally)
    """Utterances, in the queue."""
    computed: Tally = field(default_factory=Tally)
    """Utterances, each with the whole time that its batch took."""
    answered: Tally = field(default_factory=Tally)
    """Utterances whose answer somebody still wanted, from being queued to it."""
    failed: Tally = field(default_factory=Tally)
    """Utterances that the engine failed at, likewise."""
    batches: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    """Batches, by how many utterances they had."""

    def decoded(self, batch: Batch, began: float, ended: float) -> None:
        self.last = time.time()
        self.batches[len(batch.jobs)].add(ended - began)
        for job in batch.jobs:
            self.waited.add(began - job.arrived)
            self.computed.add(ended - began)
            if job not in batch.given_up:
                self.answered.add(ended - job.arrived)

    def broke(self, batch: Batch, ended: float) -> None:
        """A batch of several fails nobody yet: its utterances are decoded again, one by one."""
        if len(batch.jobs) == 1:
            self.failed.add(ended - batch.jobs[0].arrived)
