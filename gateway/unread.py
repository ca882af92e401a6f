"""Callers who do not take what they are sent."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from serving.errors import IdleTooLong
from serving.idle import IdleClock

MessageT = TypeVar("MessageT")


@contextmanager
def while_taken(
    write: Callable[[MessageT], Awaitable[None]], seconds: float
) -> Iterator[Callable[[MessageT], Awaitable[None]]]:
    """Sends as `write` does; raises IdleTooLong for a caller who takes no event for so long, and would keep its place."""
    with closing(IdleClock(seconds)) as clock:

        async def send(message: MessageT) -> None:
            try:
                with clock:
                    await write(message)
            except TimeoutError:
                raise IdleTooLong(
                    f"no event was taken for {seconds:g} s; read them while you upload"
                ) from None

        yield send
