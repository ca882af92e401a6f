"""The command line. Commands are imported when they are asked for: help answers at once, without gRPC."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from serving.lazy_commands import LazyGroup, Place

INTERRUPTED = 130

_COMMANDS: Mapping[str, Place] = {
    "transcribe": Place(
        "gateway.commands.transcribe",
        "transcribe",
        "Turn recordings into text that says who spoke.",
    ),
    "serve": Place("gateway.commands.serve", "serve", "Run one service, or all three."),
    "models": Place("serving.models.commands", "models", "List, pull and find the models."),
    "engines": Place(
        "gateway.commands.engines", "engines", "Build, list, check and remove TensorRT engines."
    ),
    "triton": Place(
        "gateway.commands.triton",
        "triton",
        "Write recognition models as repositories of NVIDIA's Triton.",
    ),
    "tokens": Place("gateway.commands.tokens", "tokens", "Make tokens for a gateway's callers."),
    "describe": Place("gateway.commands.describe", "describe", "Say what a running gateway has behind it."),
}


class _Commands(LazyGroup):
    """Ctrl-C ends with code 130, as shells expect."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("duoscribe: interrupted", err=True)
            ctx.exit(INTERRUPTED)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        try:
            click.echo(f"duoscribe {version('duoscribe')}")
        except PackageNotFoundError:
            click.echo("duoscribe (run from its source, not installed)")
        ctx.exit()


@click.group(
    cls=_Commands,
    places=_COMMANDS,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
    epilog="Each command has its own manual: duoscribe COMMAND --help.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def main() -> None:
    """Who said what: speech recognition and speaker diarization in one transcript.

    \b
    duoscribe transcribe meeting.mp3                  everything on this machine, no deployment
    duoscribe transcribe --server HOST:50050 call.wav through a gateway that runs elsewhere
    duoscribe serve all                               a gateway and its two backends
    """  # noqa: D301 - click keeps lines as they are below a backspace


if __name__ == "__main__":
    main()
