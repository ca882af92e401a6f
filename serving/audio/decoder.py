"""A service's decoder: keeps a fork server running, and has it fork for each recording."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from serving import logs
from serving.audio.endings import Cause
from serving.audio.fork_server import Child, ForkServer, ForkServerGone
from serving.errors import Unavailable

_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.1, 10.0

_log = logs.get_logger(__name__)


class Decoder:
    """`start` it before the first recording, `close` it after the last one; belongs to one event loop."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        patience_seconds: float = 30.0,
        ended_early: Callable[[Cause], None] = lambda _: None,
    ) -> None:
        """`directory` is where an MP4 goes that must be kept whole, by default the system's place for temporary files.

        A fork server that has not forked within the patience, even on a busy machine, gives way to another one. `ended_early`
        hears why a recording's process ended before it had said how it went.
        """
        self.ended_early = ended_early
        self._directory = directory
        self._patience_seconds = patience_seconds
        self._server: ForkServer | None = None
        self._running = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once recordings can be decoded. Raises Unavailable where the fork server does not come up."""
        self._server = await self._started()
        self._running.set()
        self._keeping = asyncio.create_task(self._keep(self._server))

    async def close(self) -> None:
        """Ends the fork server, and decoders that are left."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._server is not None:
            await asyncio.to_thread(self._server.close)

    async def fork(self) -> Child:
        """A process for one recording; waits for a fork server that is being started anew. Raises Unavailable."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await self._fork()
        except TimeoutError:
            self._give_up()
            raise Unavailable("no decoder could be started; try again shortly, or another replica") from None

    async def _fork(self) -> Child:
        while True:
            await self._running.wait()
            server = self._server
            if server is None:
                raise Unavailable("the service is starting; try again shortly")
            try:
                return await server.fork()
            except ForkServerGone:
                if self._server is server:
                    self._running.clear()

    def _give_up(self) -> None:
        if self._server is not None:
            self._server.kill()

    async def _started(self) -> ForkServer:
        server = ForkServer(self._directory)
        try:
            await server.ready()
        except BaseException:
            await asyncio.to_thread(server.close)
            raise
        return server

    async def _keep(self, server: ForkServer) -> None:
        """Whenever the fork server ends, start another one."""
        while True:
            code = await server.ended()
            self._running.clear()
            _log.error("the decoders' fork server ended by itself; another one is started", exit_code=code)
            self._server = server = await self._started_again()
            self._running.set()

    async def _started_again(self) -> ForkServer:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            with suppress(Unavailable, OSError):
                return await self._started()
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
