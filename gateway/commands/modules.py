"""Commands that are another package's own: the process becomes it, so nothing of it is imported here."""

import os
import sys

import click


def of_module(name: str, module: str, summary: str) -> click.Command:
    """A command that becomes `python -m module`, flags, help and all."""

    @click.command(
        name,
        help=summary,
        short_help=summary,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("flags", nargs=-1, type=click.UNPROCESSED)
    def command(flags: tuple[str, ...]) -> None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-P", "-m", module, *flags])  # noqa: S606

    return command
