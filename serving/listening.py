"""Where a server listens, and the transport's settings."""

import errno
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc

from serving.config import ServerConfig
from serving.doors import DoorConfig
from serving.keepalive import keepalive_options

# Callers may ping every 20 s to keep a connection alive through middleboxes; clocks and queues take their share of it.
_MIN_PING_INTERVAL_MS = 15_000

# Messages up to this many times the limit arrive, to be refused with a message that says so; the transport cuts larger ones.
_TRANSPORT_HEADROOM = 4

# Two servers on one port would share its callers at random; the second shall fail to start instead.
_OWN_PORT = ("grpc.so_reuseport", 0)

_MAX_UNIX_PATH_BYTES = 107


@dataclass(frozen=True)
class Addresses:
    """Where a process listens: for calls, and where that was asked for, for health in plain text, metrics over HTTP, channelz,
    and the gateway's callers over HTTP.
    """

    address: str
    health_address: str | None
    metrics_address: str | None
    admin_address: str | None
    http_address: str | None = None

    def announcement(self) -> str:
        """One line of JSON, without what there is not."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


def channel_options(config: ServerConfig) -> list[tuple[str, int]]:
    """What the C core is told."""
    # A caller whose machine vanished is noticed after this and a third of it, and its place is free again.
    keepalive_ms = round(config.keepalive_seconds * 1000)
    options = [
        ("grpc.max_receive_message_length", _largest_message(config)),
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        *keepalive_options(interval_ms=keepalive_ms, timeout_ms=keepalive_ms // 3),
        _OWN_PORT,
    ]
    if config.max_connection_age_seconds:
        options.append(("grpc.max_connection_age_ms", round(config.max_connection_age_seconds * 1000)))
    return options


def listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
    """Bind to HOST:PORT or unix:PATH, and say where: port 0 becomes the port that was found.

    `credentials` are for HOST:PORT; a socket is plain text, and it is for its folder to say who may reach it.

    Raises OSError where that is impossible, and for a socket file that a live process listens on; a stale one is
    replaced.
    """
    path = socket_path(address)
    if path is None:
        _check_port(address)
    else:
        _check_socket_path(path)
    try:
        port = _bind(server, address, None if path else credentials)
    except RuntimeError as error:
        raise OSError(
            f"cannot listen on {address}: in use, not an address of this machine, or malformed"
        ) from error
    return address if path is not None else f"{address.rpartition(':')[0]}:{port}"


@asynccontextmanager
async def plain_endpoint(
    address: str | None, register: Callable[[grpc.aio.Server], Awaitable[None]]
) -> AsyncIterator[str | None]:
    """A server of its own in plain text, with what `register` adds to it, until the context ends; says where it listens.

    None serves nothing. Raises OSError where the address cannot be bound.
    """
    if address is None:
        yield None
        return
    server = grpc.aio.server(options=[_OWN_PORT])
    await register(server)
    bound = listen(server, address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


def socket_path(address: str) -> Path | None:
    """The file of a unix: address."""
    scheme, _, path = address.partition(":")
    return Path(path.removeprefix("//")) if scheme == "unix" else None


def host_and_port(address: str) -> tuple[str, int] | None:
    """The two parts of HOST:PORT; None where it is something else."""
    host, _, port = address.rpartition(":")
    return (host, int(port)) if host and port.isdecimal() and int(port) < 65536 else None


def _largest_message(config: ServerConfig) -> int:
    chunk = _TRANSPORT_HEADROOM * config.max_message_bytes
    return max(chunk, config.max_recording_message_bytes) if isinstance(config, DoorConfig) else chunk


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    if credentials is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials)


def _check_port(address: str) -> None:
    # The C core takes 99999 for 34463.
    if host_and_port(address) is None:
        raise OSError(f"cannot listen on {address}: an address is HOST:PORT or unix:PATH")


def _check_socket_path(path: Path) -> None:
    if len(os.fsencode(path)) > _MAX_UNIX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path may have {_MAX_UNIX_PATH_BYTES} bytes", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the socket's folder does not exist", str(path.parent))
    if not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way", str(path))
    if _is_alive(path):
        raise OSError(errno.EADDRINUSE, "another process listens on this socket", str(path))
    path.unlink()


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True
