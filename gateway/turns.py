"""Large pieces of work on the event loop, one after the other."""

import asyncio
from collections import deque


class Turns:
    """Everybody who waits gets a turn in the order of asking, one in every second round of the event loop.

    gRPC hands the loop about one event a round, in the order in which they happened. Every large piece causes some more, so
    with 200 uploads ready at once a new call would wait behind hundreds of others' events, once for each of its own. Who takes
    a turn before it reads or sends a large piece leaves that line short, since fewer turns are given than events are taken.
    Belongs to one event loop; a turn need not be given back.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            self._give_in_two_rounds()
        await turn

    def _give_in_two_rounds(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._give)

    def _give(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():
            turn.set_result(None)
        if self._waiting:
            self._give_in_two_rounds()
