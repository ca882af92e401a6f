"""Request ids in use, so that a recording which its caller sends again is not computed twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.errors import AlreadyRunning

# A caller whose deadline passed, or who cancelled, may call again before its first call has wound up here.
_PATIENCE_SECONDS = 2.0


class Claims:
    """Who is having which request id worked on. Belongs to one event loop."""

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._ended: dict[tuple[str, str], asyncio.Event] = {}

    @asynccontextmanager
    async def held(self, caller: str, request_id: str) -> AsyncIterator[None]:
        """Until the context ends, other calls with this id of this caller are refused; an empty id is nobody's.

        Waits a little for a call that is about to end. Raises AlreadyRunning.
        """
        if not request_id:
            yield
            return
        claim = caller, request_id
        await self._wait_free(claim)
        ended = self._ended[claim] = asyncio.Event()
        try:
            yield
        finally:
            del self._ended[claim]
            ended.set()

    async def _wait_free(self, claim: tuple[str, str]) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                while (ended := self._ended.get(claim)) is not None:
                    await ended.wait()
        except TimeoutError:
            raise AlreadyRunning(
                "another call of yours with this request_id is still worked on; wait until it has ended, or give this "
                "recording an id of its own",
                field="config.request_id",
            ) from None
