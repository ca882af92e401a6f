"""`duoscribe engines bench`."""

import time
from pathlib import Path

import click

from asr_service.engines.ort.devices import look
from serving.commands import failing_in_one_line
from serving.cores import cores
from serving.errors import ModelUnavailable
from workbench.benching.errand import Errand, in_own_process, prepare
from workbench.benching.opening import available
from workbench.benching.timing import Budget
from workbench.commands import device_option, listed, recipe_argument, size_option, tell
from workbench.loading import load
from workbench.recipe import Size
from workbench.runtimes import Kind, parse_kind


@click.command()
@recipe_argument
@size_option
@click.option(
    "--runtime",
    "kinds",
    default="",
    metavar="RUNTIME,…",
    callback=listed(parse_kind),
    help="pytorch-fp16, -fp32, -tf32 or -bf16; cpu; cuda (products rounded to TF32) or cuda-fp32; tensorrt-fp16, -fp32 or -bf16."
    "  [default: whichever this machine has]",
)
@click.option("--rows", default="", metavar="N,…", callback=listed(int), help="In place of the recipe's.")
@click.option(
    "--lengths", default="", metavar="N,…", callback=listed(float), help="In place of the recipe's."
)
@click.option(
    "--csv",
    type=click.Path(dir_okay=False, path_type=Path),
    default="bench.csv",
    show_default=True,
    help="Where rows are added as they are measured. What it holds already is not measured again.",
)
@click.option(
    "--layers",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write a profile of the usual batch to this folder, layer by layer, as JSON.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    help="For each batch, a quarter of it to warm up.",
)
@click.option(
    "--limit",
    type=click.FloatRange(0),
    default=float("inf"),
    help="Seconds after which no batch is begun; the same command goes on later.",
)
@device_option
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=cores,
    help="On CPUs.  [default: as many as there are cores]",
)
def bench(
    text: str,
    size: Size,
    *,
    kinds: tuple[Kind, ...],
    rows: tuple[int, ...],
    lengths: tuple[float, ...],
    csv: Path,
    layers: Path | None,
    seconds: float,
    limit: float,
    device_id: int,
    threads: int,
) -> None:
    """Time RECIPE's batches on each runtime: every number of rows by every length.

    Inputs lie on the device, and a run ends when its outputs are computed there. A batch that memory does not suffice
    for becomes a row that says so. Each runtime has a process of its own; nothing else should use the machine.
    """
    until = time.monotonic() + limit
    with failing_in_one_line():
        load(text, size)
    errands = [
        Errand(text, size, kind, csv, Budget(seconds), until, rows, lengths, device_id, threads, layers)
        for kind in kinds or available(look())
    ]
    # All of them run, also after one that cannot.
    succeeded = [_succeeds(errand) for errand in errands]
    click.get_current_context().exit(0 if all(succeeded) else 1)


def _succeeds(errand: Errand) -> bool:
    try:
        prepare(errand)
        if not in_own_process(errand):
            tell(f"{errand.kind}: out of time; the same command goes on with what is left")
    except ModelUnavailable as error:
        tell(f"{errand.kind}: {error.message}")
        return False
    return True
