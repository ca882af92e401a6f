"""How long a caller may say nothing."""

import asyncio
from types import TracebackType
from typing import Any


class IdleClock:
    """`with clock:` around each wait raises TimeoutError where one takes longer than `seconds`; for one task at a time.

    It is asyncio.timeout for a task that waits thousands of times a minute: that one makes, heaps up and cancels a timer
    for each wait. Here a single timer looks after all of them, and is set anew only when it goes off.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._since = 0.0
        self._cancelling = 0
        self._expired = False

    def __enter__(self) -> None:
        self._waiting = asyncio.current_task()
        self._since = self._loop.time()
        if self._timer is None:
            self._set(self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        waiting, self._waiting = self._waiting, None
        if self._expired and waiting is not None:
            self._expired = False
            # As asyncio.timeout does: somebody else may have cancelled the task as well.
            if waiting.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def close(self) -> None:
        """There will be no further wait."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # The next wait sets it again.
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._set(left)
        else:
            self._expired = True
            self._cancelling = self._waiting.cancelling()
            self._waiting.cancel()
