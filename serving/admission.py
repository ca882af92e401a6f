"""Whether there is room for a recording, and what is said to the one for which there is none.

There is room while two things hold. A place is free: each recording in flight holds memory, and `max_streams` of them are
taken. And the line is short: the audio that the service has taken in and not computed yet, divided by the seconds of audio
that it has lately computed in a second, is how long a newcomer's results may take, and that is at most `Line.longest`.

How long recordings are is not known before they end, so audio that is still with its sender does not count; services take in
only so much of each in advance. Before anything was computed no speed is known, and places alone decide.

Who is refused learns when to come again: once the line will be short enough, or once a place should be free, by how long
recordings have lately held theirs.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from serving import errors
from serving.health import is_always_answered, takes_recordings
from serving.interceptors import AroundCalls, Call, Context
from serving.load import Load, Rates

# What a refused caller is told to wait, whatever the estimate.
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 60.0


# What clients are told of a service that does nothing.
_IDLE = 0.01

# The argument of the CancelledError by which a recording learns that its caller did not give it up.
CUT = "cut"


@dataclass(frozen=True)
class Line:
    """Audio that waits to be computed, as seconds of waiting."""

    wait: Callable[[], float]
    """How long what was taken in will take; 0 while the speed is not known."""
    longest: float
    """From more than this on recordings are refused."""


_NO_LINE = Line(lambda: 0.0, float("inf"))


class AdmissionInterceptor(AroundCalls):
    """Lets calls in while the service is loaded and has room.

    Counted are the calls that upload; others only need the models. Health and reflection always pass.
    """

    def __init__(self, max_streams: int, line: Line | None = None, rates: Rates | None = None) -> None:
        self._max_streams = max_streams
        self._line = line or _NO_LINE
        self._rates = rates or Rates()
        self._loaded = False
        self._draining = False
        self._cut = False
        self._streams: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def in_flight(self) -> int:
        """Uploading calls whose handler runs."""
        return len(self._streams)

    def wait(self) -> float:
        """How long the line is, in seconds."""
        return self._line.wait()

    def utilization(self) -> float:
        """How much is taken of what the service takes, 1 being all, by the scarcer of places and time."""
        places, time = self.in_flight / self._max_streams, self.wait() / self._line.longest
        return max(places, time)

    def load(self) -> Load:
        """For clients, who take 0 for not known."""
        return Load(max(self.utilization(), _IDLE), self._rates.ended, self._rates.failed)

    def open(self) -> None:
        """The models are loaded."""
        self._loaded = True

    def drain(self) -> None:
        """From now on refuse calls that upload."""
        self._draining = True

    async def wait_empty(self) -> None:
        await self._empty.wait()

    def cut(self) -> None:
        """End the calls in flight with Draining, which tells their callers to go elsewhere."""
        self._cut = True
        for task in self._streams:
            task.cancel(CUT)

    async def around(self, call: Call, context: Context, *, method: str, uploads: bool) -> Any:  # noqa: ARG002
        if is_always_answered(method):
            takes_recordings.set(self._loaded and not self._draining)
            return await call()
        if not self._loaded and not self._draining:
            raise errors.Loading("the models are still loading; try again shortly, or another replica")
        if not uploads:
            return await call()
        self._check_room()
        return await self._stream(call)

    async def _stream(self, call: Call) -> Any:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._streams.add(task)
        self._empty.clear()
        try:
            with self._rates.counted():
                return await call()
        except asyncio.CancelledError:
            if not self._cut:
                raise
            task.uncancel()
            raise errors.Draining("the service shut down before it was done; call another replica") from None
        finally:
            self._streams.discard(task)
            if not self._streams:
                self._empty.set()

    def _check_room(self) -> None:
        if self._draining:
            raise errors.Draining("the service is shutting down; call another replica")
        if len(self._streams) >= self._max_streams:
            raise errors.Overloaded(
                f"all {self._max_streams} places for recordings are taken; try again later, or another replica",
                retry_after=_bounded(self._rates.seconds / self._max_streams),
            )
        if (excess := self.wait() - self._line.longest) > 0:
            raise errors.Overloaded(
                "more audio waits to be computed than is taken; try again later, or another replica",
                retry_after=_bounded(excess),
            )


def _bounded(seconds: float) -> float:
    return min(max(seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)
