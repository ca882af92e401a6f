"""The options by which a command reaches a gateway that runs elsewhere: TLS, and a token."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from gateway.client import TranscriptionClient
    from gateway.connecting import Token

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option(
        "--tls",
        is_flag=True,
        envvar="DUOSCRIBE_TLS",
        show_envvar=True,
        help="Speak TLS, and trust this system's authorities. The next four options mean it too.",
    ),
    click.option(
        "--ca",
        type=_FILE,
        envvar="DUOSCRIBE_CA",
        show_envvar=True,
        help="Authorities in PEM to trust instead.",
    ),
    click.option(
        "--certificate",
        type=_FILE,
        envvar="DUOSCRIBE_CERTIFICATE",
        show_envvar=True,
        help="Certificate chain in PEM to show to the gateway.",
    ),
    click.option(
        "--key",
        type=_FILE,
        envvar="DUOSCRIBE_KEY",
        show_envvar=True,
        help="The certificate's private key in PEM, without a password.",
    ),
    click.option(
        "--server-name",
        metavar="NAME",
        default="",
        envvar="DUOSCRIBE_SERVER_NAME",
        show_envvar=True,
        help="Name in the gateway's certificate, where it is not the address's.",
    ),
    click.option(
        "--token-file",
        type=_FILE,
        envvar="DUOSCRIBE_TOKEN_FILE",
        show_envvar=True,
        help="File with a bearer token to send, read again for each recording. Without it DUOSCRIBE_TOKEN may hold one.",
    ),
    click.option(
        "--plaintext-token",
        is_flag=True,
        help="Send the token also where it leaves this machine without TLS, for instance to a proxy that encrypts.",
    ),
)


@dataclass(frozen=True, slots=True)
class Reaching:
    """How the gateway is reached. Files were there when the command began."""

    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""
    token_file: Path | None = None
    plaintext_token: bool = False

    def client(self, server: str) -> TranscriptionClient:
        """Raises click.UsageError for what does not fit together, or cannot be used."""
        from gateway.client import CertificateFiles, TranscriptionClient  # noqa: PLC0415 - help answers without gRPC
        from gateway.connecting import UnusableToken  # noqa: PLC0415 - help answers without gRPC
        from serving.certificates import UnusableCertificate  # noqa: PLC0415 - help answers without gRPC

        wanted = self.tls or self.ca or self.certificate or self.key or self.server_name
        try:
            files = (
                CertificateFiles(certificate=self.certificate, key=self.key, ca=self.ca) if wanted else None
            )
            return TranscriptionClient(
                server,
                credentials=files,
                server_name=self.server_name,
                token=self._token(),
                plaintext_token=self.plaintext_token,
            )
        except (ValueError, UnusableCertificate, UnusableToken) as error:
            raise click.UsageError(str(error)) from error

    def _token(self) -> Token | None:
        from gateway.connecting import token_in, token_of  # noqa: PLC0415 - help answers without gRPC

        if self.token_file is not None:
            read = token_in(self.token_file)
            read()
            return read
        text = os.environ.get("DUOSCRIBE_TOKEN")
        return None if text is None else token_of(text, "DUOSCRIBE_TOKEN")


def reaching_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command that has `server`, and hands them to it as `reaching`."""

    @functools.wraps(command)
    def packed(**values: Any) -> None:
        own = {name: values.pop(name) for name in Reaching.__dataclass_fields__}
        if values["server"] is None:
            _refuse_own()
        else:
            _settle_grpc()
        command(**values, reaching=Reaching(**own))

    for option in reversed(_OPTIONS):
        packed = option(packed)
    return packed


def _refuse_own() -> None:
    """Raises click.UsageError for an option that is of use with --server only; its variable may be set all the time."""
    context = click.get_current_context()
    for name in Reaching.__dataclass_fields__:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for a gateway elsewhere: name it with --server"
            )


def _settle_grpc() -> None:
    """Tell gRPC, which reads this when it is loaded, to keep its log to itself, and where this system's authorities are."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if authorities := ssl.get_default_verify_paths().cafile:
        os.environ.setdefault("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", authorities)
