"""What a run under load comes to, and how it is written down."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.load.callers import Generated, Outcome
from benchmarks.load.lag import Lag

MIB = 2**20
HEADER = (
    "| load | front | streams/s | MB/s | audio s/s | first event p50, p99, ms | after the last byte p50, p99, ms | fairness, "
    "slowest/fastest | ended | CPU s an hour | to sink | to relay | cores: front, waiting for one, callers | lag p50, p99, longest, ms | memory before, "
    "peak, after, MiB |"
)
RULE = "| " + " | ".join(["---"] * HEADER.count(" | ") + ["---"]) + " |"


@dataclass(frozen=True)
class Memory:
    """Bytes resident in all of the front's processes."""

    before: int
    peak: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """One front under one load. `wall`, the front's `cpu` and how long it `waited` for a core are seconds. The bare fronts do
    not measure their lag.
    """

    name: str
    front: str
    generated: Generated
    wall: float
    cpu: float
    waited: float
    lag: Lag | None
    memory: Memory

    @property
    def done(self) -> list[Outcome]:
        return [outcome for outcome in self.generated.outcomes if outcome.code == "OK"]

    @property
    def cpu_an_hour(self) -> float:
        """CPU seconds for an hour of audio. Uploads that failed cost too, and count for nothing."""
        return self.cpu / max(1e-9, sum(outcome.audio_seconds for outcome in self.done)) * 3600

    @property
    def codes(self) -> str:
        return ", ".join(f"{count} {code}" for code, count in _codes(self.generated.outcomes).most_common())


def fairness(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def rates(outcomes: Sequence[Outcome]) -> list[float]:
    """Bytes a second of each caller of the kind that has most callers, from its first upload's start to its last one's end."""
    kinds: dict[str, dict[int, list[Outcome]]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.label, {}).setdefault(outcome.caller, []).append(outcome)
    return [
        sum(outcome.size for outcome in own) / (own[-1].ended - own[0].started)
        for own in max(kinds.values(), key=len).values()
    ]


def row(load: Load, others: Sequence[Load]) -> str:
    """A line of the table; `others` are of the same load, and the bare ones among them are what it is compared with."""
    done, wall = load.done, load.wall
    first = [outcome.first_event - outcome.started for outcome in done]
    last = [outcome.ended - outcome.last_byte for outcome in done]
    alike = rates(load.done)
    figures = [
        load.name,
        load.front,
        f"{len(done) / wall:.1f}",
        f"{sum(outcome.size for outcome in done) / wall / 1e6:.1f}",
        f"{sum(outcome.audio_seconds for outcome in done) / wall:,.0f}",
        _percentiles(first),
        _percentiles(last),
        f"{fairness(alike):.3f}, {min(alike) / max(alike):.2f}",
        load.codes,
        f"{load.cpu_an_hour:.2f}",
        *(_ratio(load, _of(others, front)) for front in ("sink", "relay")),
        f"{load.cpu / wall:.2f}, {load.waited / wall:.2f}, {load.generated.cpu_share:.2f}",
        _lag(load.lag),
        ", ".join(f"{size / MIB:.0f}" for size in (load.memory.before, load.memory.peak, load.memory.after)),
    ]
    return f"| {' | '.join(figures)} |"


def _codes(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(outcome.code for outcome in outcomes)


def _percentiles(seconds: Sequence[float]) -> str:
    return ", ".join(f"{np.percentile(seconds, share) * 1000:.0f}" for share in (50, 99)) if seconds else ""


def _of(loads: Sequence[Load], front: str) -> Load | None:
    return next((load for load in loads if load.front == front), None)


def _ratio(load: Load, other: Load | None) -> str:
    return f"{load.cpu_an_hour / other.cpu_an_hour:.2f}" if other else ""


def _lag(lag: Lag | None) -> str:
    if lag is None:
        return ""
    return f"{lag.quantile(0.5) * 1000:.1f}, {lag.quantile(0.99) * 1000:.0f}, ≤ {lag.longest * 1000:.0f}"


def today() -> str:
    return time.strftime("%Y-%m-%d")
