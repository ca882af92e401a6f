"""`duoscribe engines report`."""

from collections.abc import Sequence
from pathlib import Path

import click

from serving.commands import failing_in_one_line
from workbench.benching import plots, table
from workbench.benching.row import read
from workbench.benching.series import Comparison, compare

# What an engine has to be faster than, as published figures have it.
_BASES = ("pytorch-fp16", "pytorch-fp32")


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="CSV...", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--plots",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write plots to this folder, as SVG: throughput over rows and latency over length.",
)
@click.option(
    "--base",
    default="",
    metavar="RUNTIME",
    help="What the others are compared with.  [default: pytorch-fp16, or pytorch-fp32, or the first]",
)
@click.option("--percentiles", is_flag=True, help="Also a table of all times.")
def report(files: Sequence[Path], folder: Path | None, base: str, *, percentiles: bool) -> None:
    """Print what `bench` wrote as Markdown: each recipe's runtimes side by side.

    The files may come from several environments and machines; where two have the same batch of the same runtime, the
    later file's holds.
    """
    with failing_in_one_line():
        comparisons = compare(row for path in files for row in read(path))
    for comparison in comparisons:
        click.echo(_section(comparison, (base,) if base else _BASES, percentiles=percentiles))
        if folder is not None:
            _draw(comparison, folder)


def _section(comparison: Comparison, bases: Sequence[str], *, percentiles: bool) -> str:
    parts = [
        f"### {comparison.title}",
        table.legend(comparison),
        table.summary(comparison, comparison.base(bases)),
        *([table.percentiles(comparison)] if percentiles else []),
    ]
    return "\n\n".join(parts) + "\n"


def _draw(comparison: Comparison, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = comparison.title.replace(", ", "-")
    plots.throughput(comparison, folder / f"{name}-throughput.svg")
    plots.latency(comparison, folder / f"{name}-latency.svg")
