"""A name server that knows one name, whose addresses change when a test says so."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

_A, _IN = 1, 1
_TTL_SECONDS = 1


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for addresses of version 4 with `addresses`, and any other with nothing (RFC 1035)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        wanted, _ = struct.unpack(">HH", question[-4:])
        answers = [_record(address) for address in self.addresses] if wanted == _A else []
        header = data[:2] + struct.pack(">HHHHH", 0x8580, 1, len(answers), 0, 0)
        self._transport.sendto(header + question + b"".join(answers), addr)  # type: ignore[attr-defined]


def _record(address: str) -> bytes:
    name = struct.pack(">H", 0xC00C)  # as in the question
    return name + struct.pack(">HHIH", _A, _IN, _TTL_SECONDS, 4) + IPv4Address(address).packed


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[NameServer]:
    server = NameServer(*addresses)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    server.address = "{}:{}".format(*transport.get_extra_info("sockname"))
    yield server
    transport.close()
