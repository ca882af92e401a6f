"""`duoscribe tokens`: what callers show a gateway that asks who they are."""

import click

from gateway.access.names import is_caller_name
from gateway.access.tokens import line_for, new_token


@click.group(no_args_is_help=True)
def tokens() -> None:
    """Make tokens for a gateway's callers."""


@tokens.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a token for the caller NAME.

    The token goes to standard error, for NAME's eyes; it is kept nowhere and cannot be shown again. Its line for the gateway's
    --tokens-file goes to standard output. A caller may have several lines, so that a new token works before the old one is
    taken away.

    \b
    duoscribe tokens new billing >> tokens
    """  # noqa: D301 - click keeps lines as they are below a backspace
    if not is_caller_name(name) or name.startswith("#"):
        raise click.BadParameter(
            "a name has 1 to 255 printable characters and no # in front", param_hint="NAME"
        )
    token = new_token()
    click.echo(f"the token, which is shown this once: {token}", err=True)
    click.echo(line_for(name, token))
