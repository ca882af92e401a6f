"""The C core's own view of a process, for grpcdebug and its like: channelz.

It names every peer and shows every connection's state, so it is at an address of its own and never where callers are.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_channelz.v1 import channelz

from serving.listening import listen


@asynccontextmanager
async def admin_endpoint(address: str | None) -> AsyncIterator[str | None]:
    """Answer at HOST:PORT or unix:PATH until the context ends, and say where; None serves nothing.

    Raises OSError where the address cannot be bound.
    """
    if address is None:
        yield None
        return
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    channelz.add_channelz_servicer(server)
    bound = listen(server, address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)
