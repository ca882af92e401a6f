"""`duoscribe serve`: one service in this process, or all three under a supervisor."""

import click

from gateway.commands.modules import of_module


@click.group(no_args_is_help=True)
def serve() -> None:
    """Run one service, or all three.

    Each takes its settings as flags or environment variables; duoscribe serve NAME --help is its manual.

    \b
    duoscribe serve all                               the gateway on 127.0.0.1:50050, its backends on private sockets
    duoscribe serve asr --address 0.0.0.0:50051       recognition by itself
    DUOSCRIBE_ASR_THREADS=4 duoscribe serve all
    """  # noqa: D301 - click keeps lines as they are below a backspace


serve.add_command(of_module("asr", "asr_service", "Speech recognition: utterances with timed words."))
serve.add_command(of_module("diarization", "diarization_service", "Speaker diarization: who spoke when."))
serve.add_command(of_module("gateway", "gateway", "The gateway to both: who said what."))


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
