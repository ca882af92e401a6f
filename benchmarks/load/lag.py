"""The gateway's event loop lag, as its own metrics tell it."""

import math
from dataclasses import dataclass

from benchmarks.scraping import scraped

_METRIC = "duoscribe_event_loop_lag_seconds"


@dataclass(frozen=True)
class Lag:
    """A histogram: how many waits were at most so many seconds long, by that bound."""

    counts: dict[float, float]

    @classmethod
    def told_at(cls, address: str) -> "Lag":
        buckets = (sample for sample in scraped(address) if sample.name == f"{_METRIC}_bucket")
        return cls({float(bucket.labels["le"]): bucket.value for bucket in buckets})

    def since(self, before: "Lag") -> "Lag":
        return Lag({bound: count - before.counts[bound] for bound, count in self.counts.items()})

    def share_within(self, seconds: float) -> float:
        """Of one of the histogram's bounds."""
        return self.counts[seconds] / max(1.0, self.counts[math.inf])

    def quantile(self, share: float) -> float:
        """In seconds, evenly between the bounds as Prometheus has it; the last finite bound for what lies behind it."""
        wanted = share * self.counts[math.inf]
        low, before = 0.0, 0.0
        for bound, count in sorted(self.counts.items()):
            if count >= wanted and count > before:
                return (
                    low if bound == math.inf else low + (bound - low) * (wanted - before) / (count - before)
                )
            low, before = bound, count
        return low

    @property
    def longest(self) -> float:
        """The bound that no wait was longer than; infinite where one was longer than the last."""
        return min(
            (bound for bound, count in self.counts.items() if count >= self.counts[math.inf]), default=0.0
        )
