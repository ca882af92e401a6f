"""Large pieces of work on the event loop, a few at a time."""

import asyncio
from collections import deque

# Some milliseconds of work altogether, which whatever is small waits for at most.
_AT_ONCE = 4


class Turns:
    """Everybody who waits gets a turn in the order of asking, `_AT_ONCE` of them in each round of the event loop.

    An event loop's round runs whatever is ready. With uploads of 200 recordings ready at once a round takes half a second,
    and so does each step of all else: a new call, an answer, a health check. Who takes a turn before a large step keeps
    rounds short. Belongs to one event loop; a turn need not be given back.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            self._give_soon()
        await turn

    def _give_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        for turn in [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]:
            if not turn.done():
                turn.set_result(None)
        if self._waiting:
            self._give_soon()
