"""A recipe's TensorRT engine: out of the cache that the service's engines lie in, or built now."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from asr_service.engines.ort import build as building
from asr_service.engines.ort import profiles
from asr_service.engines.ort.cache import EngineCache, Entry
from asr_service.engines.ort.choice import resolve
from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.gate import judge
from asr_service.engines.ort.order import Order, Report
from asr_service.engines.ort.recipe import Recipe as Plan
from asr_service.engines.ort.recipe import build_command, identified, tensorrt_request
from asr_service.engines.ort.record import Record
from asr_service.engines.ort.settings import Bounds, Settings
from asr_service.engines.ort.shelf import loading
from serving.errors import ModelUnavailable
from workbench import cases
from workbench.builder import TRIAL, Exported
from workbench.exports import Export, Tell
from workbench.recipe import Recipe
from workbench.runtimes import OrtRuntime, on_tensorrt, shape_ranges

_COMMAND = (sys.executable, "-P", "-m", "workbench.builder")
# An engine that computes something else is kept all the same: here one wants to see what it computes, and how fast.
_KEPT = Bounds(float("inf"), 0.0)

in_own_process: building.Work = partial(building.in_own_process, command=_COMMAND)


@dataclass(frozen=True)
class Workplace:
    """One machine, and where its engines are kept."""

    installation: Installation
    cache: EngineCache = field(default_factory=EngineCache)
    work: building.Work = in_own_process
    open_runtime: Callable[..., OrtRuntime] = on_tensorrt

    def gpu(self, settings: Settings, weights: Sequence[Path] = ()) -> Gpu:
        """The one that engines are for. Raises ModelUnavailable where TensorRT cannot run such weights here."""
        gpu = resolve(settings, self.installation, weights).gpu
        if gpu is None:
            raise ModelUnavailable(f"no TensorRT: {self.installation.without_gpu}")
        return gpu


def profile(recipe: Recipe) -> profiles.Profile:
    """As the service's engines are known by; lengths in the recipe's unit."""
    return profiles.Profile(recipe.profile.rows, recipe.profile.length)


@dataclass(frozen=True)
class Engine:
    """One that there may be or not."""

    export: Export
    settings: Settings
    """Of which precision, options and the device count."""
    workplace: Workplace

    def build(self, tell: Tell) -> Entry:
        """Minutes, where it is not there and whole. Raises ModelUnavailable where it cannot be built or kept."""
        recipe = self.export.recipe

        def work(order: Order, folder: Path, tell: Tell) -> Report:
            trial: dict[str, Any] = dict(recipe.sample(cases.traced(recipe.profile), 0))
            with (folder / TRIAL).open("wb") as file:
                np.savez(file, **trial)
            try:
                return self.workplace.work(order, folder, tell)
            finally:
                (folder / TRIAL).unlink()

        return building.build(
            self._plan, self.workplace.cache, model=self.export.text, bounds=_KEPT, tell=tell, work=work
        )

    def judge(self, entry: Entry) -> None:
        """Raises ModelUnavailable where the engine's numbers are further from the CPU's than the recipe allows."""
        judge(_record(entry).figures, Bounds(self.export.recipe.relative_error[self.settings.precision], 0.0))

    def open(self, tell: Tell, *, trace: Path | None = None) -> OrtRuntime:
        """Builds it first where it is not there. `trace` as for a session. Raises ModelUnavailable."""
        plan, entry = self._plan, self.build(tell)
        graph = _record(entry).graph
        with loading(entry, build_command(self.export.text, self.settings)):
            return self.workplace.open_runtime(
                entry.folder / graph,
                plan.placement(entry.folder, graph),
                self.settings.precision,
                trace=trace,
            )

    @cached_property
    def _plan(self) -> Plan:
        """With everything that decides what the engine becomes."""
        installation, recipe = self.workplace.installation, self.export.recipe
        gpu = self.workplace.gpu(self.settings, [self.export.graph])
        return identified(
            Exported(self.export.graph, {}),
            profile(recipe),
            tensorrt_request(self.settings, installation, gpu, shape_ranges(recipe)),
            installation,
            gpu,
            fingerprint=self.export.fingerprint,
        )


def _record(entry: Entry) -> Record:
    if entry.record is None:
        raise ModelUnavailable(f"{entry.folder} has lost its record; run `duoscribe engines check`")
    return entry.record
