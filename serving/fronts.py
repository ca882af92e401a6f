"""Other protocols than gRPC in front of a server, which make their callers' calls at it: so what holds there holds for them."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import grpc


class Front(Protocol):
    """Stands open from before the server takes calls until after the last one of them has ended."""

    def open(self, server: grpc.aio.Server) -> AbstractAsyncContextManager[str]:
        """Have the server, which has not started, listen where the front calls it, and take callers until the context ends; says
        where. The end waits for answers on their way.

        Raises OSError where the address cannot be bound.
        """
