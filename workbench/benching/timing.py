"""How long one batch takes."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.recipe import Arrays
from workbench.runtimes import Runtime


@dataclass(frozen=True)
class Budget:
    """When a batch was run often enough."""

    seconds: float = 3.0
    """For the runs of a batch after its first. At least one is timed, however long it takes."""
    most_runs: int = 1000

    @property
    def warm_up(self) -> float:
        """Seconds of runs that are not counted: clocks rise, caches fill."""
        return self.seconds / 4


@dataclass(frozen=True)
class Times:
    """Seconds."""

    first: float
    all: Sequence[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.all))

    def percentile(self, share: float) -> float:
        """Linear between the two nearest runs."""
        return float(np.percentile(self.all, share))


def measure(
    runtime: Runtime, inputs: Arrays, budget: Budget, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Runs a batch over and over, each run until its outputs are computed. Raises OutOfMemory."""

    def run() -> float:
        begun = clock()
        # The outputs live until the clock has stopped: giving their memory back is not the network's work.
        outputs = runtime.run(placed)
        runtime.synchronise()
        taken = clock() - begun
        del outputs
        return taken

    placed = runtime.place(inputs)
    runtime.synchronise()
    gc.collect()
    first = run()
    # Whatever the first run had to look for, or to build, is not taken from the others' time.
    begun = clock()
    while clock() - begun < budget.warm_up:
        run()
    taken = [run()]
    while clock() - begun < budget.seconds and len(taken) < budget.most_runs:
        taken.append(run())
    return Times(first, taken)
