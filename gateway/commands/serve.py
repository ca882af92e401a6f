"""`duoscribe serve`: one service in this process, or all three under a supervisor."""

import os
import sys

import click

_MODULES = {"asr": "asr_service", "diarization": "diarization_service", "gateway": "gateway"}


@click.group(no_args_is_help=True)
def serve() -> None:
    """Run one service, or all three.

    Each takes its settings as flags or environment variables; duoscribe serve NAME --help is its manual.

    \b
    duoscribe serve all                               the gateway on 127.0.0.1:50050, its backends on private sockets
    duoscribe serve asr --address 0.0.0.0:50051       recognition by itself
    DUOSCRIBE_ASR_THREADS=4 duoscribe serve all
    """  # noqa: D301 - click keeps lines as they are below a backspace


def _service(name: str, summary: str) -> click.Command:
    """A command that becomes the service's own process, flags and all."""

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
        os.execv(sys.executable, [sys.executable, "-P", "-m", _MODULES[name], *flags])  # noqa: S606

    return command


serve.add_command(_service("asr", "Speech recognition: utterances with timed words."))
serve.add_command(_service("diarization", "Speaker diarization: who spoke when."))
serve.add_command(_service("gateway", "The gateway to both: who said what."))


@serve.command("all")
@click.option(
    "--address",
    default="127.0.0.1:50050",
    envvar="DUOSCRIBE_GATEWAY_ADDRESS",
    show_envvar=True,
    show_default=True,
    help="Where the gateway listens: HOST:PORT (port 0 picks a free one) or unix:PATH.",
)
def serve_all(address: str) -> None:
    """All three on this machine, until SIGTERM or Ctrl-C; when one of them dies, all end, with exit code 1.

    Once they serve, one line of JSON on standard output names the gateway's address. Environment variables of each
    service hold (see duoscribe serve NAME --help). Running recordings may finish first; a second signal ends at once.
    """
    from gateway.commands.serving import serve_until_signalled  # noqa: PLC0415 - help answers without gRPC

    click.get_current_context().exit(serve_until_signalled(address))
