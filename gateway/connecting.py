"""How a caller gets to a gateway: its channel, its token, and what it means if there is no connection."""

import ipaddress
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc
from grpc import aio

from gateway.renewal import RenewedChannel
from serving.certificates import CertificateFiles, RenewedFiles
from serving.keepalive import keepalive_options

# What a call proves its caller with; where it is asked for before each call it may expire and change.
Token = str | Callable[[], str]

# gRPC's own words, the most telling first, and ours.
_TLS_REASONS = (
    ("certificate has expired", "the gateway's certificate has expired; its operator must renew it"),
    (
        "Hostname Verification Check failed",
        "the gateway's certificate is for another name than the address has; the server name says which one to expect",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the gateway's certificate is not signed by an authority that is trusted here; the CA file says which ones are",
    ),
    ("WRONG_VERSION_NUMBER", "what listens there does not speak TLS"),
)
_HUNG_UP = ("Socket closed", "Connection reset", "Broken pipe")
_NO_CONNECTION = (
    "last error:",
    "errors resolving",
    "DNS resolution failed",
    "name resolution",
    "contact DNS",
)


class UnusableToken(Exception):  # noqa: N818 - named after what is wrong
    """There is no token where one should be; the message says where."""


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | CertificateFiles | None, server_name: str
) -> aio.Channel:
    """Encrypted where there are credentials, unless over a socket; files are read again when they change.

    Raises UnusableCertificate.
    """
    options: list[tuple[str, str | int]] = [
        # A four-hour transcript in one message is larger than gRPC's 4 MiB.
        ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        *keepalive_options(interval_ms=60_000, timeout_ms=20_000),
        # Where the address names several gateways; by default gRPC stays with one.
        ("grpc.lb_policy_name", "round_robin"),
        *([("grpc.default_authority", server_name)] if server_name else []),
    ]
    if credentials is None or address.startswith("unix"):
        # A token that may not leave this machine shall not take the way over a proxy either.
        options += [("grpc.enable_http_proxy", 0)] if is_on_this_machine(address) else []
        return aio.insecure_channel(address, options=options)
    if isinstance(credentials, CertificateFiles):
        return RenewedChannel(
            partial(aio.secure_channel, address, options=options), RenewedFiles(credentials)
        )
    return aio.secure_channel(address, credentials, options=options)


def is_on_this_machine(address: str) -> bool:
    """Whether what is sent to a gRPC address stays on a socket or on loopback."""
    if address.startswith("unix"):
        return True
    host = (
        address.removeprefix("dns:")
        .lstrip("/")
        .removeprefix("ipv4:")
        .removeprefix("ipv6:")
        .rpartition(":")[0]
    )
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def token_in(path: Path) -> Callable[[], str]:
    """The token that a file holds, read at each call. That raises UnusableToken."""

    def read() -> str:
        try:
            return token_of(path.read_text(encoding="ascii", errors="replace"), str(path))
        except OSError as error:
            raise UnusableToken(f"{path} cannot be read: {error.strerror}") from error

    return read


def token_of(text: str, place: str) -> str:
    """Raises UnusableToken, which names `place` and nothing of the text."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UnusableToken(f"{place} holds no token, which is one word of ASCII")
    return token


def why_unreachable(code: grpc.StatusCode, details: str, *, encrypted: bool) -> str | None:
    """What gRPC says where a call found no connection, in words for who called; None where there was one."""
    if code is not grpc.StatusCode.UNAVAILABLE or not any(sign in details for sign in _NO_CONNECTION):
        return None
    for sign, reason in _TLS_REASONS:
        if sign in details:
            return f"no connection: {reason}"
    if any(sign in details for sign in _HUNG_UP):
        wanted = "want a certificate, or not take this one" if encrypted else "want TLS"
        return f"no connection: the gateway hung up; it may {wanted}"
    return f"no gateway can be reached: {details}. Check the address, and that the gateway runs there"
