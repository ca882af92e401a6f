"""What one caller uses of this gateway."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gateway.access.bucket import Bucket
from gateway.access.limits import Limits
from gateway.access.names import ANONYMOUS
from serving.errors import Overloaded, PermissionDenied

Clock = Callable[[], float]

_MINUTE, _HOUR = 60.0, 3600.0

# How much the last stream counts in the mean of their durations.
_NEWEST_SHARE = 0.2
# The mean is a guess: a caller who comes back within a minute loses little if it was too long.
_RETRY_SECONDS = (1.0, 60.0)

_current: ContextVar["Account"] = ContextVar("account")


class LimitReached(Overloaded):
    """The caller uses all that `limit`, a field of Limits, lets it use."""

    def __init__(self, message: str, *, limit: str, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class Account:
    """Streams in flight and audio of one caller, whose limits may change meanwhile. Belongs to one event loop.

    Audio counts as it is decoded. A stream that was let in is never cut: what its audio goes over the budget is owed, and
    later streams wait for it. Cutting would throw away what two services have computed, for the caller to send it again.
    """

    def __init__(
        self,
        name: str,
        limits: Callable[[], Limits],
        clock: Clock = time.monotonic,
        decoded: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`limits` gives those in force; `decoded` is told of the seconds that are counted, for metrics."""
        self.name = name
        self._limits = limits
        self._clock = clock
        self._decoded = decoded
        self._minute, self._hour = Bucket(_MINUTE, clock), Bucket(_HOUR, clock)
        self._started: list[float] = []
        self._mean_seconds: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether a new account could not be told from this one."""
        limits = self._limits()
        return (
            not self._started
            and self._minute.is_full(60 * limits.audio_minutes_per_minute)
            and self._hour.is_full(60 * limits.audio_minutes_per_hour)
        )

    def check_allowed(self) -> None:
        """Raises PermissionDenied."""
        if not self._limits().allowed:
            raise PermissionDenied(f"{self.name} may not call this gateway; its operator decides who may")

    @contextmanager
    def stream(self) -> Iterator[None]:
        """A recording in flight. Raises LimitReached."""
        limits = self._limits()
        self._check_streams(limits.streams)
        self._check_audio(limits)
        started = self._clock()
        self._started.append(started)
        try:
            yield
            self._note_duration(self._clock() - started)
        finally:
            self._started.remove(started)

    def meter(self) -> Callable[[float], None]:
        """For one recording: to be told how many seconds of it have been decoded, again and again."""
        counted = 0.0

        def count(seconds: float) -> None:
            nonlocal counted
            self._spend(seconds - counted)
            counted = seconds

        return count

    def _spend(self, seconds: float) -> None:
        limits = self._limits()
        self._decoded(seconds)
        self._minute.spend(seconds, 60 * limits.audio_minutes_per_minute)
        self._hour.spend(seconds, 60 * limits.audio_minutes_per_hour)

    def _check_streams(self, most: float) -> None:
        if len(self._started) < most:
            return
        # With streams of this length, one of them ends every so often.
        mean = self._mean_seconds or self._clock() - self._started[0]
        least, longest = _RETRY_SECONDS
        raise LimitReached(
            f"{self.name} has {len(self._started)} recordings in flight here and may have {most:g}; wait for one to end",
            limit="streams",
            retry_after=min(longest, max(least, mean / len(self._started))),
        )

    def _check_audio(self, limits: Limits) -> None:
        for limit, bucket, minutes, period in (
            ("audio_minutes_per_minute", self._minute, limits.audio_minutes_per_minute, "minute"),
            ("audio_minutes_per_hour", self._hour, limits.audio_minutes_per_hour, "hour"),
        ):
            if wait := bucket.wait(60 * minutes):
                raise LimitReached(
                    f"{self.name} has used up its {minutes:g} minutes of audio in each {period} here",
                    limit=limit,
                    retry_after=wait,
                )

    def _note_duration(self, seconds: float) -> None:
        before = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = before + _NEWEST_SHARE * (seconds - before)


def bind_account(account: Account) -> None:
    """Have the current call's recordings counted there."""
    _current.set(account)


def current_account() -> Account:
    """The one bound for the current call; without one, everybody's, which nothing limits."""
    return _current.get(None) or Account(ANONYMOUS, Limits)
