"""Walks a recipe's batches on one runtime. What is measured is kept at once; what is kept already is not measured again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.benching.memory import Gauge
from workbench.benching.row import MEASURED, OUT_OF_MEMORY, OUTSIDE, Log, Row, Setting
from workbench.benching.timing import Budget, Times, measure
from workbench.cases import admits
from workbench.recipe import Case, Recipe
from workbench.runtimes import OutOfMemory, Runtime, in_brief

Tell = Callable[[Row], None]
# What another try would not change.
_SETTLED = {MEASURED, OUT_OF_MEMORY, OUTSIDE}


@dataclass(frozen=True)
class Bench:
    """What is walked, and how."""

    recipe: Recipe
    setting: Setting
    cases: Sequence[Case]
    """Of one length, those of fewer rows come first."""
    open: Callable[[], Runtime]
    gauge: Callable[[], Gauge]
    budget: Budget
    until: float = float("inf")
    """time.monotonic() after which no batch is begun."""

    def walk(self, log: Log, tell: Tell) -> bool:
        """Whether it came to its end. Raises what `open` raises; a batch that fails only becomes a row that says so."""
        kept = [row for row in log.rows() if row.setting == self.setting and row.outcome in _SETTLED]
        left = [case for case in self.cases if case not in {row.case for row in kept}]
        if not left:
            return True
        # The fewest rows, by length: with more, a batch would only take time to fail.
        falling = sorted(kept, key=lambda row: -row.rows)
        too_many = {row.length: row.rows for row in falling if row.outcome == OUT_OF_MEMORY}
        gauge = self.gauge()
        runtime: Runtime | None = None
        for case in left:
            if time.monotonic() > self.until:
                return False
            if foregone := self._foregone(case, too_many):
                row = self._told(case, foregone)
            else:
                runtime = runtime or self.open()
                row = self._row(case, runtime, gauge)
            if row.outcome == OUT_OF_MEMORY:
                too_many.setdefault(case.length, case.rows)
                # What it holds by now is in pieces that other shapes may not fit into.
                runtime = None
            log.add(row)
            tell(row)
        return True

    def _foregone(self, case: Case, too_many: Mapping[float, int]) -> str:
        """What would become of a batch, where that is known; empty where it is to be run."""
        if self.setting.backend == "tensorrt" and not admits(self.recipe.profile, case):
            return OUTSIDE
        return OUT_OF_MEMORY if case.rows > too_many.get(case.length, case.rows) else ""

    def _row(self, case: Case, runtime: Runtime, gauge: Gauge) -> Row:
        inputs = self.recipe.sample(case, 0)
        try:
            times = measure(runtime, inputs, self.budget)
        except OutOfMemory:
            return self._told(case, OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - of whatever type a runtime has; other batches may still run
            return self._told(case, in_brief(error) or type(error).__name__)
        return self._told(case, MEASURED, **self._figures(case, times), memory_mib=gauge.bytes() / 2**20)

    def _figures(self, case: Case, times: Times) -> dict[str, Any]:
        percentiles = {f"p{share}_ms": times.percentile(share) * 1e3 for share in (50, 90, 95, 99)}
        return {
            "runs": len(times.all),
            "first_ms": times.first * 1e3,
            "mean_ms": times.mean * 1e3,
            **percentiles,
            "requests_per_s": case.rows / times.mean,
            "audio_s_per_s": case.rows * self.recipe.seconds(case.length) / times.mean,
        }

    def _told(self, case: Case, outcome: str, **figures: Any) -> Row:
        return Row(
            **asdict(self.setting),
            rows=case.rows,
            length=case.length,
            audio_seconds=self.recipe.seconds(case.length),
            outcome=outcome,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            **figures,
        )
