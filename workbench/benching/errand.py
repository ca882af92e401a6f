"""One runtime's walk in a process of its own: it has all memory, and what goes wrong there takes no other along."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click

from asr_service.engines.ort.devices import look
from serving.errors import ModelUnavailable
from workbench.benching.memory import Gauge
from workbench.benching.opening import Opening
from workbench.benching.profiling import profile
from workbench.benching.row import Log, Row
from workbench.benching.timing import Budget
from workbench.benching.walk import Bench
from workbench.commands import tell
from workbench.recipe import Case, Recipe, Size, Walk
from workbench.runtimes import Kind, OutOfMemory


@dataclass(frozen=True)
class Errand:
    """Plain values: they travel to another process."""

    recipe: str
    size: Size
    kind: Kind
    csv: Path
    budget: Budget
    until: float
    """time.monotonic(), which is the same clock in all processes, after which no batch is begun."""
    rows: tuple[int, ...] = ()
    """In place of the recipe's own."""
    lengths: tuple[float, ...] = ()
    device_id: int = 0
    threads: int = 1
    layers: Path | None = None
    """The folder for a profile of the usual batch, layer by layer."""


def prepare(errand: Errand) -> None:
    """Exports and builds what is missing, which is nothing that a runtime's memory should count. Raises ModelUnavailable."""
    if folder := _opening(errand).prepare():
        tell(f"{errand.kind} runs what lies in {folder}")


def carry_out(errand: Errand) -> bool:
    """Whether the walk came to its end. Raises ModelUnavailable where the runtime cannot be had."""
    opening = _opening(errand)
    if opening.gpu is None:
        # What finding the graph and making inputs imports is in this process, and nothing that the runtime takes.
        opening.prepare()
        opening.recipe.example()
    bench = Bench(
        opening.recipe,
        opening.setting(),
        _cases(errand, opening.recipe),
        opening.open,
        lambda: Gauge(opening.gpu),
        errand.budget,
        errand.until,
    )
    try:
        ended = bench.walk(Log(errand.csv), lambda row: click.echo(line(row)))
        if ended and errand.layers is not None:
            profile(opening, errand.layers)
    except OutOfMemory as error:
        raise ModelUnavailable(
            f"{errand.kind} has too little memory for the network, or for its usual batch"
        ) from error
    return ended


def in_own_process(errand: Errand, work: Callable[[Errand], bool] = carry_out) -> bool:
    """As `carry_out`; also raises ModelUnavailable where the process dies."""
    # Spawned: a forked process could not use the GPU, nor threads of libraries that are loaded here.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(work, errand).result()
        except BrokenProcessPool as error:
            raise ModelUnavailable(
                f"the process that ran {errand.kind} died; its last lines are above, and what it had measured is kept"
            ) from error


def line(row: Row) -> str:
    """A row for people to read while the walk goes on."""
    batch = f"{row.recipe} {row.runtime}  {row.rows} x {row.length:g} {row.unit}"
    if not row.is_measured:
        return f"{batch}  {row.outcome}"
    return (
        f"{batch}  mean {row.mean_ms:.2f} ms, p99 {row.p99_ms:.2f} ms, {row.requests_per_s:.1f} requests/s, "
        f"{row.audio_s_per_s:.0f} s of audio a second, {row.memory_mib:.0f} MiB, {row.runs} runs"
    )


def _opening(errand: Errand) -> Opening:
    return Opening(errand.recipe, errand.size, errand.kind, look(), errand.device_id, errand.threads, tell)


def _cases(errand: Errand, recipe: Recipe) -> list[Case]:
    rows, lengths = errand.rows or recipe.walk.rows, errand.lengths or recipe.walk.lengths
    return Walk(tuple(sorted(rows)), tuple(sorted(lengths))).cases
