"""A runtime without a network, and rows as a benchmark writes them."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NoReturn

from workbench.benching.row import MEASURED, Row
from workbench.recipe import Arrays, Case
from workbench.runtimes import Kind, OutOfMemory, Tensors


@dataclass
class FakeRuntime:
    """Remembers what it was asked, and what each batch was. Times come from `clock`, which a run moves on."""

    clock: "FakeClock | None" = None
    too_large: Callable[[Case], bool] = lambda _: False
    broken: Collection[Case] = ()
    calls: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return Kind("cpu", "fp32")

    def place(self, inputs: Arrays) -> Tensors:
        rows, frames, _ = inputs["x"].shape
        self.calls.append("place")
        self.cases.append(Case(rows, frames))
        return inputs

    def run(self, inputs: Tensors) -> Tensors:
        self.calls.append("run")
        if self.clock is not None:
            self.clock.now += self.clock.step
        case = self.cases[-1]
        if self.too_large(case):
            raise OutOfMemory("13 GiB are missing")
        if case in self.broken:
            raise RuntimeError("the kernel\n  failed")
        return inputs

    def synchronise(self) -> None:
        self.calls.append("synchronise")

    def fetch(self, outputs: Tensors) -> dict[str, Any]:
        return dict(outputs)


@dataclass
class FakeClock:
    step: float
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class FakeGauge:
    """Each look finds a MiB more."""

    def __init__(self) -> None:
        self._looks = 0

    def bytes(self) -> int:
        self._looks += 1
        return self._looks << 20


def row(rows: int, length: float, mean_ms: float | None = None, **others: Any) -> Row:
    """Measured where it has a mean."""
    figures: dict[str, Any] = {}
    if mean_ms is not None:
        percentiles = {f"p{share}_ms": mean_ms * share / 50 for share in (50, 90, 95, 99)}
        requests = rows / mean_ms * 1e3
        figures = {
            "mean_ms": mean_ms,
            "first_ms": 2 * mean_ms,
            **percentiles,
            "requests_per_s": requests,
            "audio_s_per_s": requests * length,
            "memory_mib": 512.0,
            "runs": 40,
            "outcome": MEASURED,
        }
    told = {"recipe": "toy", "size": "full", "backend": "pytorch", "precision": "fp16", "unit": "s"}
    told |= {"processor": "NVIDIA H200", "date": "2026-11-21"}
    return Row(**{**told, **figures, "rows": rows, "length": length, "audio_seconds": length, **others})


def die(_errand: object) -> NoReturn:
    """As a native library does that crashes."""
    os._exit(9)
