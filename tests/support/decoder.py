"""A decoder that all tests of a process share: starting one takes longer than most tests."""

import atexit
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from serving.audio import Decoder
from serving.audio.fork_server import ForkServer

_shared: list[ForkServer] = []


class SharedDecoder(Decoder):
    """For any number of services, on any event loop; it outlives them."""

    async def start(self) -> None:
        if not _shared:
            _shared.append(await self._started())
            atexit.register(_shared[0].close)
        self._server = _shared[0]
        self._running.set()

    async def close(self) -> None: ...


async def shared_decoder() -> Decoder:
    decoder = SharedDecoder()
    await decoder.start()
    return decoder


@asynccontextmanager
async def own_decoder(directory: Path | None = None, **others: Any) -> AsyncIterator[Decoder]:
    """For a test that does it harm."""
    decoder = Decoder(directory, **others)
    try:
        await decoder.start()
        yield decoder
    finally:
        await decoder.close()


def fork_server_of(decoder: Decoder) -> psutil.Process:
    if decoder._server is None:
        raise RuntimeError("the decoder was not started")
    return psutil.Process(decoder._server.pid)


def children_of(decoder: Decoder) -> list[psutil.Process]:
    """The processes that decode."""
    return [child for child in fork_server_of(decoder).children() if child.status() != psutil.STATUS_ZOMBIE]
