"""`duoscribe engines recipes` and `export`, and what the workbench's commands have in common."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from serving.commands import failing_in_one_line, show
from workbench.exports import REPORT, Exports
from workbench.loading import load
from workbench.recipe import Recipe, Size
from workbench.recipes import RECIPES

Command = TypeVar("Command", bound=Callable[..., Any])

# What a caller put into click's context, or this user's own.
pass_exports = click.make_pass_decorator(Exports, ensure=True)


def recipe_argument(command: Command) -> Command:
    return click.argument("text", metavar="RECIPE")(command)


def size_option(command: Command) -> Command:
    return click.option(
        "--size",
        type=click.Choice(get_args(Size)),
        default="full",
        show_default=True,
        help="The published model's true size, or one with the same layers that a CPU runs in a moment.",
    )(command)


def device_option(command: Command) -> Command:
    return click.option(
        "--device-id", type=click.IntRange(0), default=0, show_default=True, help="Which GPU to run on."
    )(command)


def listed(read_one: Callable[[str], object]) -> Callable[..., tuple[object, ...]]:
    """Values between commas."""

    def callback(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[object, ...]:
        try:
            return tuple(read_one(part) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def tell(what: str) -> None:
    """Progress, which is no result."""
    click.echo(what, err=True)


@click.command()
def recipes() -> None:
    """List the recipes: their names, what an engine of them is built for, and what the models are.

    Wherever a command takes a RECIPE, a file of your own will do: its function recipe(size) gives a
    workbench.recipe.Recipe (docs/workbench.md).
    """
    with failing_in_one_line():
        show(
            ("recipe", "engine's batches", "precision", "what it is"), [_row(load(name)) for name in RECIPES]
        )


def _row(recipe: Recipe) -> tuple[str, ...]:
    profile = recipe.profile
    return (
        recipe.name,
        f"{profile.rows} x {profile.length} {recipe.unit}",
        recipe.precision,
        recipe.summary,
    )


@click.command()
@recipe_argument
@size_option
@pass_exports
def export(exports: Exports, text: str, size: Size) -> None:
    """Write RECIPE's ONNX file, and check on the CPU that it computes what PyTorch does.

    Several shapes are tried; each output's mean squared error in single precision must be below 1e-7, or nothing is
    kept. A file that is there, of the code as it is now, is left alone.
    """
    with failing_in_one_line():
        made = exports.get(text, size, tell)
    report = made.report
    show(
        ("batch", "output", "difference"),
        [(check.case, check.output, str(check.difference)) for check in report.checks],
    )
    click.echo(
        f"{made.graph}: opset {report.opset}, {report.nodes} nodes, {report.bytes / 1e6:.1f} MB; {REPORT} beside it "
        "has the figures"
    )
