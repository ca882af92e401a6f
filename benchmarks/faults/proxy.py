"""A TCP proxy in user space, which does to connections what networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 64 * 1024


class Proxy:
    """Passes connections to its `address` on to `target`, which may change; those that are open stay where they are."""

    def __init__(self) -> None:
        self.address = ""
        self.target = ""
        self.delay_seconds = 0.0
        """Before each piece of at most 64 KiB, in both directions."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refuses = False
        self._connections: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Proxy"]:
        """On any free port, until the context ends."""
        proxy = cls()
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        proxy.address = f"{host}:{port}"
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            for task in proxy._passing:
                task.cancel()
            await asyncio.gather(*proxy._passing, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections, and refuse new ones until `heal`."""
        self._refuses = True
        for writer in self._connections:
            writer.transport.abort()

    def swallow(self) -> None:
        """Let nothing pass and say nothing, until `heal`: as where a machine vanishes, or a firewall drops packets."""
        self._flowing.clear()

    def heal(self) -> None:
        """What was swallowed arrives after all, as TCP would send it again."""
        self._refuses = False
        self.delay_seconds = 0.0
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = asyncio.current_task()
        if passing is not None:
            self._passing.add(passing)
            passing.add_done_callback(self._passing.discard)
        with suppress(OSError):
            await self._connect(reader, writer)
        writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            return
        await self._flowing.wait()
        host, _, port = self.target.rpartition(":")
        onward_reader, onward_writer = await asyncio.open_connection(host, port)
        both = {writer, onward_writer}
        self._connections |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, onward_writer))
                tasks.create_task(self._pump(onward_reader, writer))
        except* OSError:
            pass
        finally:
            self._connections -= both
            onward_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises OSError where either side resets, which ends the other direction too."""
        while data := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            writer.write(data)
            await writer.drain()
        # gRPC never half-closes: an end on one side is one on both.
        await self._flowing.wait()
        raise ConnectionResetError
