"""How long a backend may owe an answer."""

import asyncio


class Silence:
    """A clock that runs while a backend has something to answer and says nothing; it interrupts the reading task.

    It starts when something is sent, and stops with every message that comes. Once everything was sent an answer is
    always owed. While the upload pauses and nothing is owed, a backend may be silent for as long as it likes.
    """

    def __init__(self, clock: asyncio.Timeout, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._all_sent = False

    def sending(self) -> None:
        """About to send; a backend that does not take what it is sent counts as silent, too."""
        if self._clock.when() is None:
            self._start()

    def sent_all(self) -> None:
        self._all_sent = True
        self.sending()

    def heard(self) -> None:
        """A message came; while it is dealt with, the clock stands."""
        if not self._clock.expired():
            self._clock.reschedule(None)

    def listening(self) -> None:
        """Ready for the next message."""
        if self._all_sent:
            self._start()

    def _start(self) -> None:
        if not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time() + self._seconds)
