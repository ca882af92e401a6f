"""An HTTP server within the gateway's process and event loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from gateway.http.connection import Connection
from serving.listening import host_and_port

# Calls have ended before: what is left are answers on their way.
_LAST_ANSWERS_SECONDS = 5


def bound(address: str, keepalive_seconds: float) -> socket.socket:
    """A socket at HOST:PORT whose connections notice peers that vanished, as gRPC's do. Raises OSError."""
    found = host_and_port(address)
    if found is None:
        raise OSError(f"cannot serve HTTP at {address}: an address is HOST:PORT")
    host, port = found
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        raise OSError(f"cannot serve HTTP at {address}: {error.strerror}") from error
    _keep_alive(listening, max(1, round(keepalive_seconds)))
    return listening


def address_of(listening: socket.socket, wanted: str) -> str:
    """HOST:PORT, with the port that was found where 0 was `wanted`."""
    return f"{wanted.rpartition(':')[0]}:{listening.getsockname()[1]}"


@asynccontextmanager
async def served(
    app: ASGIApp, listening: socket.socket, tls: ssl.SSLContext | None, keepalive_seconds: float
) -> AsyncIterator[None]:
    """Answer requests until the context ends, which waits for answers on their way."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        # Its lines go where the process's go. Of requests the gateway's own lines tell.
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(keepalive_seconds)),
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    async with _running(config, listening):
        yield


@asynccontextmanager
async def _running(config: uvicorn.Config, listening: socket.socket) -> AsyncIterator[None]:
    """What `uvicorn.Server.serve` does, but for signals, which are the process's."""
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown(sockets=[listening])


def _keep_alive(listening: socket.socket, seconds: int) -> None:
    """Connections have their listening socket's options. Not every system has all of them."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": seconds, "TCP_KEEPINTVL": max(1, seconds // 3), "TCP_KEEPCNT": 1}
    for name, value in options.items():
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
