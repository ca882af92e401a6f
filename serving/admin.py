"""The C core's own view of a process, for grpcdebug and its like: channelz.

It names every peer and shows every connection's state, so it is at an address of its own and never where callers are.
"""

import grpc
from grpc_channelz.v1 import channelz


async def register(server: grpc.aio.Server) -> None:
    """Add channelz."""
    channelz.add_channelz_servicer(server)
