"""The command line. Commands are imported when they are asked for: help answers at once, without gRPC."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

INTERRUPTED = 130

# Name → module, attribute, and what the list of commands says, so that listing them imports none.
_COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "transcribe": (
        "gateway.commands.transcribe",
        "transcribe",
        "Turn recordings into text that says who spoke.",
    ),
    "serve": ("gateway.commands.serve", "serve", "Run one service, or all three."),
    "models": ("serving.models.commands", "models", "List, pull and find the models."),
    "engines": ("gateway.commands.engines", "engines", "Build, list, check and remove TensorRT engines."),
    "triton": (
        "gateway.commands.triton",
        "triton",
        "Write recognition models as repositories of NVIDIA's Triton.",
    ),
    "tokens": ("gateway.commands.tokens", "tokens", "Make tokens for a gateway's callers."),
    "describe": ("gateway.commands.describe", "describe", "Say what a running gateway has behind it."),
}


class LazyGroup(click.Group):
    """Imports a command when it runs or is asked for its own help. Ctrl-C ends with code 130, as shells expect."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in _COMMANDS.items()])

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
    cls=LazyGroup,
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
