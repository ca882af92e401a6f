"""What commands have in common: how they fail, and how they show rows."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.table import Column, Table

from serving.errors import ModelUnavailable


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """What an operator can act on ends a command with exit code 1 and its words."""
    try:
        yield
    except ModelUnavailable as error:
        raise click.ClickException(error.message) from error


def show(headings: Sequence[str | Column], rows: Sequence[Sequence[str]]) -> None:
    """A table for people; lines of fields between tabs for programs."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(*headings, box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
