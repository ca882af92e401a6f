"""`duoscribe engines build`, `list`, `check`, `clean`: TensorRT's engines, and the cache that they lie in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import click

from asr_service.engines.layout import detect
from asr_service.engines.ort.build import Tell, Work, in_own_process
from asr_service.engines.ort.cache import EngineCache, Entry
from asr_service.engines.ort.choice import resolve
from asr_service.engines.ort.devices import Installation, look
from asr_service.engines.ort.listing import HEADINGS, columns, is_native, repair, short_key, summary
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.profiles import SYNTAX, parse_all
from asr_service.engines.ort.recipe import Recipe
from asr_service.engines.ort.settings import PRECISIONS, EnginePrecision, Settings, parse_options
from asr_service.engines.ort.shelf import Shelf
from serving.commands import failing_in_one_line, show
from serving.models.commands import Bars, Lines
from serving.models.integrity import fingerprint
from serving.models.pull import Progress, Update
from serving.models.store import ModelStore

# Reference, rewriting, building, comparing, ready.
_STAGES = 5


def _network(directory: Path) -> Network:
    from asr_service.engines.ort.families import network  # noqa: PLC0415 - `list` answers without it

    return network(directory)


@dataclass
class Workshop:
    """What the commands work with."""

    store: ModelStore = field(default_factory=ModelStore)
    cache: EngineCache = field(default_factory=EngineCache)
    look: Callable[[], Installation] = look
    network: Callable[[Path], Network] = _network
    work: Work = in_own_process


# What a caller put into click's context, or this machine's own.
pass_workshop = click.make_pass_decorator(Workshop, ensure=True)


@click.command()
@click.argument("model")
@click.option(
    "--profile", "profiles", multiple=True, metavar="PROFILE", help=f"Batches to build for: {SYNTAX}"
)
@click.option(
    "--engine-precision",
    "--precision",
    "precision",
    type=click.Choice(PRECISIONS),
    show_default="fp16, or as the recipe has it",
    help="What the engine computes with.",
)
@click.option(
    "--provider-option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of ONNX Runtime's TensorRT provider, as trt_builder_optimization_level=5.",
)
@click.option(
    "--device-id", type=click.IntRange(0), default=0, show_default=True, help="Which GPU to build on."
)
@click.option(
    "--size",
    type=click.Choice(("full", "tiny")),
    default="full",
    show_default=True,
    help="Of a recipe's network.",
)
@pass_workshop
def build(
    workshop: Workshop,
    model: str,
    profiles: Sequence[str],
    precision: EnginePrecision | None,
    options: Sequence[str],
    device_id: int,
    size: Literal["full", "tiny"],
) -> None:
    """Build MODEL's engines on this machine's GPU: one for each --profile, or the two that suit its family.

    Takes minutes for each, and uses the GPU alone. What is there and whole is left alone. MODEL is a name that `duoscribe
    models list` shows, or a folder; its fp32 files are taken. Give the service the same options.

    Or MODEL is a recipe, as `duoscribe engines recipes` shows, or a .py file. The recipe says for which batches its one
    engine is built. It is kept whatever it computes: exit code 1 where that is further from the CPU than the recipe allows.
    """
    # The workbench imports this service's engines, not they it: only this command knows both.
    from workbench.loading import is_recipe  # noqa: PLC0415

    try:
        settings = Settings(
            "tensorrt",
            device_id,
            profiles=parse_all(profiles),
            precision=precision or "fp16",
            options=parse_options(options),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with failing_in_one_line():
        if is_recipe(model):
            _build_recipe(workshop, model, size, settings, precision)
        else:
            _build(workshop, model, settings)


def _build_recipe(
    workshop: Workshop,
    text: str,
    size: Literal["full", "tiny"],
    settings: Settings,
    precision: EnginePrecision | None,
) -> None:
    from workbench.building import Engine, Workplace, profile  # noqa: PLC0415 - as above
    from workbench.exports import Exports  # noqa: PLC0415
    from workbench.loading import load  # noqa: PLC0415

    # `check` names the profile of a damaged engine when it says how to build it again.
    if settings.profiles not in {(), (profile(load(text, size)),)}:
        raise click.UsageError("a recipe says itself for which batches its engine is: leave out --profile")
    workplace = Workplace(workshop.look(), workshop.cache)
    # Before an export that takes minutes.
    workplace.gpu(settings)
    export = Exports().get(text, size, _tell)
    engine = Engine(export, replace(settings, precision=precision or export.recipe.precision), workplace)
    entry = engine.build(_tell)
    click.echo(summary(entry))
    engine.judge(entry)


def _tell(what: str) -> None:
    click.echo(what, err=True)


def _build(workshop: Workshop, model: str, settings: Settings) -> None:
    directory = workshop.store.path(model)
    installation = workshop.look()
    choice = resolve(settings, installation, detect(directory, "fp32").files.values())
    shelf = Shelf(
        workshop.network(directory),
        settings,
        installation,
        model,
        fingerprint(directory),
        workshop.cache,
        workshop.work,
    )
    with Bars() if sys.stderr.isatty() else nullcontext(Lines()) as progress:
        built = shelf.build(choice, lambda recipe: _stages(recipe, progress))
    for _, entry in built:
        click.echo(summary(entry))


def _stages(recipe: Recipe, progress: Progress) -> Tell:
    """TensorRT does not say how far it is: a bar moves with each stage."""
    told: list[str] = []

    def tell(stage: str) -> None:
        told.append(stage)
        progress(Update(recipe.name, stage, min(1.0, len(told) / _STAGES)))

    return tell


@click.command("list")
@pass_workshop
def list_engines(workshop: Workshop) -> None:
    """Every engine: what it is of, for which batches, what it was built on, its size, and when it was built."""
    show(HEADINGS, [columns(entry) for entry in workshop.cache.entries()])


@click.command()
@pass_workshop
def check(workshop: Workshop) -> None:
    """Read every engine whole and compare it with what was built; exit code 1 where one is damaged."""
    damaged = 0
    for entry in workshop.cache.entries():
        problem = entry.problem(thorough=True)
        damaged += bool(problem)
        click.echo(f"{short_key(entry)}\t{repair(entry, problem) if problem else 'whole'}")
    click.get_current_context().exit(int(damaged > 0))


@click.command()
@click.argument("keys", nargs=-1, metavar="[ENGINE]...")
@click.option("--foreign", is_flag=True, help="Also those that this machine, as it is now, cannot load.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@pass_workshop
def clean(workshop: Workshop, keys: Sequence[str], *, foreign: bool, everything: bool) -> None:
    """Remove the engines named, as `list` shows them; without names, those that are damaged, and what killed builds left."""
    installation = workshop.look() if foreign else Installation()

    def is_meant(entry: Entry) -> bool:
        if keys:
            return entry.folder.name.startswith(tuple(keys))
        return everything or bool(entry.problem()) or (foreign and not is_native(entry, installation))

    with failing_in_one_line():
        workshop.cache.sweep()
        for entry in filter(is_meant, workshop.cache.entries()):
            workshop.cache.remove(entry)
            click.echo(f"removed {entry.folder}")
