"""How long a backend may owe an answer."""

import asyncio


class Silence:
    """A clock that runs while a backend has something to answer and says nothing; it interrupts the reading task.

    It starts when something is sent, and stops with every message that comes. While a message is dealt with it stands,
    whatever is sent meanwhile: interrupted there, results would be lost. Once everything was sent an answer is always
    owed. While the upload pauses and nothing is owed, a backend may be silent for as long as it likes.
    """

    def __init__(self, clock: asyncio.Timeout, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._all_sent = False
        self._owed = False
        self._listening = True

    def sending(self) -> None:
        """About to send; a backend that does not take what it is sent counts as silent, too."""
        if not self._owed:
            self._owed = True
            self._start()

    def sent_all(self) -> None:
        self._all_sent = True
        self.sending()

    def heard(self) -> None:
        """A message came, and is dealt with from here on."""
        self._owed = self._all_sent
        self._listening = False
        self._set(None)

    def listening(self) -> None:
        """Ready for the next message."""
        self._listening = True
        if self._owed:
            self._start()

    def _start(self) -> None:
        if self._listening:
            self._set(asyncio.get_running_loop().time() + self._seconds)

    def _set(self, when: float | None) -> None:
        if not self._clock.expired():
            self._clock.reschedule(when)
