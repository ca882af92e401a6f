"""`duoscribe describe`."""

import click

from gateway.commands.reaching import Reaching, reaching_options


@click.command()
@click.option(
    "--server",
    metavar="ADDRESS",
    default="127.0.0.1:50050",
    envvar="DUOSCRIBE_SERVER",
    show_envvar=True,
    show_default=True,
    help="The gateway: HOST:PORT or unix:PATH.",
)
@reaching_options
@click.option("--json", "as_json", is_flag=True, help="The whole answer, in the contract's own JSON form.")
def describe(server: str, as_json: bool, reaching: Reaching) -> None:
    """Say what a running gateway has behind it: its backends, their models, and what it accepts.

    \b
    duoscribe describe --server localhost:50050
    """  # noqa: D301 - click keeps lines as they are below a backspace
    from gateway.commands.describing import describe_gateway  # noqa: PLC0415 - help answers without gRPC

    click.get_current_context().exit(describe_gateway(server, reaching, as_json=as_json))
