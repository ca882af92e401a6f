"""`duoscribe models`: what there is, fetch it, where it lies."""

from __future__ import annotations

import sys
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from serving.commands import failing_in_one_line, show
from serving.models.manifest import Entry
from serving.models.pull import Update
from serving.models.store import ModelStore

# The store that a caller put into click's context, or the user's own.
pass_store = click.make_pass_decorator(ModelStore, ensure=True)


@click.group()
def models() -> None:
    """Models: list what there is, pull what is needed, show where it lies.

    They are kept in ~/.cache/duoscribe, or where DUOSCRIBE_CACHE says.
    """


@models.command("list")
@pass_store
def list_models(store: ModelStore) -> None:
    """Every model by name, with its role, licence, size and whether it has been pulled.

    The size is that of a pulled model on disk, otherwise of its published files.
    """
    unbroken = [Column(heading, no_wrap=True) for heading in ("name", "role", "licence", "size", "pulled")]
    show([*unbroken, "what it is"], [_row(store, entry) for entry in store.entries()])


@models.command("pull")
@click.argument("names", nargs=-1)
@click.option("--all-default", is_flag=True, help="The default set, besides the models named.")
@pass_store
def pull_models(store: ModelStore, names: tuple[str, ...], *, all_default: bool) -> None:
    """Fetch models, check them, and convert them into the cache; without NAMES, the default set.

    Can be repeated: what is there and whole is left alone, and needs no network.
    """
    chosen = dict.fromkeys((*names, *(store.default_names() if all_default or not names else ())))
    with failing_in_one_line():
        if sys.stderr.isatty():
            with Bars() as bars:
                store.pull(chosen, bars)
        else:
            store.pull(chosen, Lines())


@models.command("path")
@click.argument("name")
@pass_store
def show_path(store: ModelStore, name: str) -> None:
    """The folder of a pulled model, on standard output."""
    with failing_in_one_line():
        click.echo(store.path(name))


class Bars:
    """A bar for each model, on a terminal."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.fields[name]}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._display = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def __call__(self, update: Update) -> None:
        if update.name not in self._tasks:
            self._tasks[update.name] = self._display.add_task(update.activity, total=1.0, name=update.name)
        task = self._tasks[update.name]
        self._display.update(task, description=update.activity, completed=update.fraction)


class Lines:
    """A line for each new activity, for logs."""

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None

    def __call__(self, update: Update) -> None:
        if (update.name, update.activity) != self._last:
            self._last = (update.name, update.activity)
            click.echo(f"{update.name}: {update.activity}", err=True)


def _row(store: ModelStore, entry: Entry) -> tuple[str, ...]:
    pulled = store.has(entry)
    size = (
        sum((store.path(entry.name) / name).stat().st_size for name in entry.outputs)
        if pulled
        else entry.download_size
    )
    return (
        entry.name,
        entry.role,
        entry.license,
        f"{size / 1e6:.0f} MB",
        "yes" if pulled else "no",
        entry.summary,
    )
