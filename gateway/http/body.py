"""A request's body as it comes, and the moment in which its sender goes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine

from starlette.requests import ClientDisconnect
from starlette.types import Receive


class Body:
    """Read once, through `chunks`."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises ClientDisconnect where the sender goes before the end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            if chunk := message.get("body"):
                yield chunk
            if not message.get("more_body"):
                self._ended.set()
                return

    async def sender_gone(self) -> None:
        """Wait until the sender goes after the end; before it, `chunks` tells."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def while_sender_waits(body: Body, work: Coroutine[None, None, None]) -> None:
    """Do the work on the body's request; it is cancelled as soon as nobody waits for it any more."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(body.sender_gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    except ClientDisconnect:
        return
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
