"""Other protocols than gRPC in front of a server, which make their callers' calls at it: so what holds there holds for them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import grpc


class Front(Protocol):
    """Stands open from before the server takes calls until after the last one of them has ended."""

    def register(self, server: grpc.aio.Server) -> None:
        """Have the server listen where the front calls it; once, before it starts. Raises OSError."""

    def open(self) -> AbstractAsyncContextManager[str]:
        """Take callers until the context ends, which waits for answers on their way; says where.

        Raises OSError where the address cannot be bound.
        """


@asynccontextmanager
async def opened(front: Front | None, server: grpc.aio.Server) -> AsyncIterator[str | None]:
    """The front of this server, and where it is; None opens nothing. Raises OSError."""
    if front is None:
        yield None
        return
    front.register(server)
    async with front.open() as address:
        yield address
