"""`duoscribe engines compare`."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click

from asr_service.engines.ort.devices import Installation, look
from serving.commands import failing_in_one_line, show
from serving.cores import cores
from workbench import cases
from workbench.benching.opening import Opening, available
from workbench.benching.row import Setting
from workbench.commands import device_option, listed, recipe_argument, size_option, tell
from workbench.comparing import REFERENCES, Comparing
from workbench.comparison import Comparison
from workbench.loading import load
from workbench.predictions import Predictions
from workbench.recipe import Case, Recipe, Size
from workbench.runtimes import Kind, Runtime, parse_kind


@click.command()
@recipe_argument
@size_option
@click.option(
    "--runtime",
    "kinds",
    default="",
    metavar="RUNTIME,…",
    callback=listed(parse_kind),
    help="As `bench` takes them.  [default: ONNX Runtime's that this machine has]",
)
@click.option(
    "--batch",
    "batches",
    default="",
    metavar="ROWSxLENGTH,…",
    callback=listed(cases.parse),
    help="In place of the ends of the recipe's profile and sizes between them.",
)
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take inputs, PyTorch's outputs and the CPU's from what another run, of whatever machine, wrote as --predictions.",
)
@click.option(
    "--predictions",
    type=click.Path(dir_okay=False, path_type=Path),
    default="predictions.npz",
    show_default=True,
    help="Where inputs and outputs are written.",
)
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    default="compare.json",
    show_default=True,
    help="Where every figure is written.",
)
@click.option(
    "--limit",
    type=click.FloatRange(0),
    default=float("inf"),
    help="Seconds for each runtime, after which no batch is begun; what is left out is told.",
)
@device_option
def compare(
    text: str,
    size: Size,
    *,
    kinds: tuple[Kind, ...],
    batches: tuple[Case, ...],
    reference: Path | None,
    predictions: Path,
    report: Path,
    limit: float,
    device_id: int,
) -> None:
    """Compare every output of RECIPE with PyTorch's and the CPU's, each in single precision, for several batches.

    PyTorch and the CPU are run first, unless --reference has their outputs. Exit code 1 where an output, or a figure of
    the recipe's own judge, is not within its bounds, or a runtime cannot be had.
    """
    if reference is not None and (batches or reference.resolve() == predictions.resolve()):
        raise click.UsageError("--reference has batches of its own, and needs another file for --predictions")
    with failing_in_one_line(), ExitStack() as files:
        recipe, installation = load(text, size), look()
        ran: list[Setting] = []

        def open_runtime(kind: Kind) -> Runtime:
            opening = Opening(text, size, kind, installation, device_id, cores(), tell)
            runtime = opening.open()
            ran.append(opening.setting())
            return runtime

        earlier = files.enter_context(Predictions.read(reference)) if reference else None
        held = files.enter_context(Predictions.create(predictions))
        comparing = Comparing(recipe, held, open_runtime, tell, limit)
        there = _prepare(comparing, earlier, batches or cases.all_ends(recipe.profile))
        for kind in _wanted(recipe, kinds or _providers(installation), there):
            comparing.run(kind)
    found = comparing.found
    told = {"recipe": recipe.name, "size": size, "runtimes": list(map(asdict, ran)), **found.as_json()}
    report.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    _show(found)
    click.get_current_context().exit(1 if found.broken else 0)


def _prepare(comparing: Comparing, earlier: Predictions | None, batches: Sequence[Case]) -> list[Kind]:
    """The references that need not be run."""
    if earlier is not None:
        return comparing.take(earlier)
    comparing.sample(batches)
    return []


def _wanted(recipe: Recipe, kinds: Sequence[Kind], there: Sequence[Kind]) -> list[Kind]:
    """References first: what comes later is compared with them."""
    references = REFERENCES if recipe.network is not None else REFERENCES[1:]
    return [kind for kind in dict.fromkeys((*references, *kinds)) if kind not in there]


def _providers(installation: Installation) -> list[Kind]:
    """ONNX Runtime's that this machine has."""
    return [kind for kind in available(installation) if kind.backend != "pytorch"]


def _show(found: Comparison) -> None:
    rows = [
        (each.runtime, each.case, each.output, each.reference, str(each.difference), _mark(each.is_well))
        for each in found.findings
    ]
    judged = [
        (each.runtime, each.case, "", "", str(each.verdict), _mark(each.verdict.is_well))
        for each in found.judgements
    ]
    show(("runtime", "batch", "output", "against", "difference", ""), rows + judged)
    for batch in found.left_out:
        tell(f"{batch} was left out: no time was left")
    for problem in found.broken:
        tell(f"broken: {problem}")


def _mark(is_well: bool) -> str:
    return "ok" if is_well else "broken"
