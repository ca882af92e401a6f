"""How a fork server tells the service of a decoder: over a socket that the service closes to have the decoder killed.

It brings two numbers: the decoder's process id once it exists, or NOT_FORKED, and its wait status once it has ended.
"""

import socket
import struct
from contextlib import suppress

# In place of a process id: the system has no processes left.
NOT_FORKED = -1

NUMBER = struct.Struct("!i")


def tell(leash: socket.socket, number: int) -> None:
    """To a service that may not want to know any more."""
    with suppress(OSError):
        leash.sendall(NUMBER.pack(number))
