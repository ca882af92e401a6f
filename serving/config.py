"""Configuration in one place a service: a field of a frozen dataclass is a flag, an environment variable and its manual.

    @dataclass(frozen=True, kw_only=True)
    class AsrConfig(ServerConfig):
        model: str = option("whisper-tiny.en", "Name in the manifest, or a folder.")

    main = command(AsrConfig, run, name="asr_service", help="…", env_prefix="DUOSCRIBE_ASR_")

gives `--model NAME` and DUOSCRIBE_ASR_MODEL; the flag wins. Fields may be bool, int, float, str, Path, each of these or
None, and tuple[str, ...] (a flag given several times; separated by commas in the environment).
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from serving import logs

_METADATA = "serving.config"

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, kw_only=True)
class _Option:
    help: str
    choices: tuple[str, ...] | None
    min: float | None
    max: float | None
    secret: bool
    env: str | None


def option(
    default: Any,
    help: str,  # noqa: A002 - click's name for it
    *,
    choices: Sequence[str] | None = None,
    min: float | None = None,  # noqa: A002 - click's name for it
    max: float | None = None,  # noqa: A002 - click's name for it
    secret: bool = False,
    env: str | None = None,
) -> Any:
    """A configuration field. Bounds are inclusive; a secret's value is never printed; `env` replaces the variable's whole name."""
    described = _Option(
        help=help, choices=tuple(choices) if choices else None, min=min, max=max, secret=secret, env=env
    )
    return dataclasses.field(default=default, repr=not secret, metadata={_METADATA: described})


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What each of the three services can be told about serving.

    Raises ValueError for TLS settings that need each other, and for an endpoint that is no URL; subclasses with a
    __post_init__ of their own call this one.
    """

    address: str = option("127.0.0.1:0", "Where to listen: HOST:PORT (port 0 picks a free one) or unix:PATH.")
    max_message_bytes: int = option(
        4 * 1024 * 1024, "Largest message taken from a caller, in bytes.", min=1024, max=256 * 1024 * 1024
    )
    max_streams: int = option(16, "Recordings in flight at once; a further one is refused.", min=1)
    max_audio_seconds: float = option(4 * 3600.0, "Longest recording taken, in seconds.", min=1)
    max_upload_bytes: int = option(
        4 * 1024**3,
        "Largest upload decoded, in bytes. An MP4 whose index comes last is kept on disk meanwhile, whole.",
        min=1024,
    )
    max_probe_bytes: int = option(
        2 * 1024 * 1024,
        "How far into an upload to look for its streams, in bytes.",
        min=4096,
        max=64 * 1024 * 1024,
    )
    max_decompression_ratio: float = option(
        3200.0,
        "Most bytes of decoded audio (32,000 are a second) for each byte uploaded; the first minute is free.",
        min=1,
    )
    decoder_memory_bytes: int = option(
        128 * 1024 * 1024, "Memory that decoding one recording may take, in bytes.", min=1024 * 1024
    )
    decoder_cpu_seconds: float = option(
        20.0, "CPU time that decoding one recording may take, in seconds.", min=1
    )
    decoder_cpu_ratio: float = option(
        0.25, "CPU time granted beyond that for each second of its audio, in seconds.", min=0
    )
    decoder_stall_seconds: float = option(
        60.0,
        "How long a decoder may neither take nor give anything before it is ended, in seconds.",
        min=0.01,
    )
    max_idle_seconds: float = option(
        60.0, "How long to wait for a caller's next message before its call is ended, in seconds.", min=0.01
    )
    keepalive_seconds: float = option(
        60.0,
        "After how long without a word a caller's connection is asked whether anybody is there, in seconds. Who does not "
        "answer within a third of that has gone, and its recordings are given up.",
        min=1,
    )
    drain_seconds: float = option(
        30.0, "How long recordings in flight may go on after SIGTERM, in seconds.", min=0
    )
    max_connection_age_seconds: float = option(
        300.0,
        "Ask callers to connect again after about this long, so that they find new replicas, in seconds; 0 never does. Calls "
        "in flight go on, however long, on the connection that they began on.",
        min=0,
    )
    tls_certificate: Path | None = option(  # noqa: RUF009 - describes the field
        None,
        "Certificate chain in PEM, the server's own first: speak TLS, unless over a unix socket. Read again when it changes.",
    )
    tls_key: Path | None = option(None, "The certificate's private key in PEM, without a password.")  # noqa: RUF009
    tls_client_ca: Path | None = option(  # noqa: RUF009
        None, "Authorities in PEM: take only callers with a certificate that one of them signed."
    )
    health_address: str | None = option(
        None,
        "Where to answer grpc.health.v1, and nothing else, in plain text, for probes that cannot speak TLS: HOST:PORT or "
        "unix:PATH; nowhere by default.",
    )
    metrics_address: str | None = option(
        None, "Where to answer Prometheus over HTTP: HOST:PORT (port 0 picks a free one); nowhere by default."
    )
    admin_address: str | None = option(
        None,
        "Where to answer channelz in plain text: HOST:PORT or unix:PATH; nowhere by default. It shows every connection, "
        "peers' addresses and counts of calls, so keep it on loopback.",
    )
    traces_endpoint: str | None = option(
        None,
        "Where to send OpenTelemetry traces, as OTLP over gRPC: http://HOST:4317, or https:// with TLS; by default where "
        "OTEL_EXPORTER_OTLP_ENDPOINT says, else nowhere.",
    )
    log_level: str = option("info", "Least severe log lines to write.", choices=logs.LEVELS)
    log_format: str = option(
        "auto", "How log lines look; auto is console on a terminal, else json.", choices=logs.FORMATS
    )

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("--tls-certificate and --tls-key need each other")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("--tls-client-ca needs --tls-certificate and --tls-key")
        if self.traces_endpoint and not self.traces_endpoint.startswith(("http://", "https://")):
            raise ValueError("--traces-endpoint begins with http:// or https://")


def command(
    config_class: type[ConfigT],
    run: Callable[[ConfigT], int],
    *,
    name: str,
    help: str,  # noqa: A002 - click's name for it
    env_prefix: str,
) -> click.Command:
    """A command with one flag for each field of `config_class`, that ends with the exit code `run` returns."""

    def callback(**values: Any) -> None:
        click.get_current_context().exit(run(_build(config_class, values)))

    return click.Command(
        name,
        callback=callback,
        help=help,
        params=[_parameter(*field, env_prefix) for field in _fields(config_class)],
        context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
    )


def from_environment(config_class: type[ConfigT], env_prefix: str) -> ConfigT:
    """The configuration that the environment alone gives. Raises click.UsageError, which names the variable at fault."""
    parser = command(config_class, lambda _: 0, name=config_class.__name__, help="", env_prefix=env_prefix)
    with parser.make_context(config_class.__name__, []) as context:
        return _build(config_class, context.params)


def _build(config_class: type[ConfigT], values: dict[str, Any]) -> ConfigT:
    try:
        return config_class(**values)
    except ValueError as error:  # from a __post_init__ that found fields contradicting each other
        raise click.UsageError(str(error)) from error


def _fields(config_class: type[Any]) -> list[tuple[str, Any, Any, _Option]]:
    """Name, type, default and description of each field."""
    hints = typing.get_type_hints(config_class)
    return [
        (field.name, hints[field.name], field.default, field.metadata[_METADATA])
        for field in dataclasses.fields(config_class)
    ]


def _parameter(name: str, hint: Any, default: Any, described: _Option, env_prefix: str) -> click.Option:
    flag = "--" + name.replace("_", "-")
    value_type = _without_none(hint)
    is_tuple = typing.get_origin(value_type) is tuple
    return click.Option(
        [f"{flag}/--no-{flag[2:]}" if value_type is bool else flag, name],
        type=_click_type(value_type, described),
        default=default,
        multiple=is_tuple,
        help=described.help,
        envvar=described.env or env_prefix + name.upper(),
        show_envvar=True,
        show_default="none" if default in (None, ()) else not described.secret,
    )


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        (hint,) = (member for member in typing.get_args(hint) if member is not types.NoneType)
    return hint


def _click_type(value_type: Any, described: _Option) -> click.ParamType[Any]:
    if described.choices:
        return click.Choice(described.choices)
    if value_type is int:
        return click.IntRange(_whole(described.min), _whole(described.max))
    if value_type is float:
        return click.FloatRange(described.min, described.max)
    try:
        return _PLAIN_TYPES[value_type]
    except KeyError:
        raise TypeError(f"a configuration field cannot be of type {value_type}") from None


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


class _CommaSeparated(click.ParamType[str]):
    """One of several strings; in the environment they are separated by commas."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [part.strip() for part in rv.split(",") if part.strip()]


_PLAIN_TYPES: dict[Any, click.ParamType[Any]] = {
    bool: click.BOOL,
    str: click.STRING,
    Path: click.Path(path_type=Path),
    tuple[str, ...]: _CommaSeparated(),
}
