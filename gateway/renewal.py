"""Channels over TLS whose certificates may change: gRPC for Python has no channel that reads its files again."""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from serving.certificates import RenewedFiles


class RenewedChannel(aio.Channel):
    """Another channel once the files have changed; calls in flight end on the one that they began on.

    The new one is used as soon as it is connected, or at once where the old one is not. `make` opens a channel and may be
    asked for several. Belongs to the event loop that it is made in.
    """

    def __init__(self, make: Callable[[grpc.ChannelCredentials], aio.Channel], files: RenewedFiles) -> None:
        self._make = make
        self._files = files
        self._credentials = files.latest()
        self._channel = make(self._credentials.for_channel())
        self._next: aio.Channel | None = None
        self._calls: Counter[aio.Channel] = Counter()
        self._retired: set[aio.Channel] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """All of them; calls in flight may go on for `grace` seconds."""
        channels = [self._channel, *([self._next] if self._next else []), *self._retired]
        self._retired.clear()
        await asyncio.gather(*self._closing, *(channel.close(grace) for channel in channels))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._current().channel_ready()

    def unary_unary(self, *described: Any, **named: Any) -> Any:
        return self._method("unary_unary", described, named)

    def unary_stream(self, *described: Any, **named: Any) -> Any:
        return self._method("unary_stream", described, named)

    def stream_unary(self, *described: Any, **named: Any) -> Any:
        return self._method("stream_unary", described, named)

    def stream_stream(self, *described: Any, **named: Any) -> Any:
        return self._method("stream_stream", described, named)

    def _method(self, kind: str, described: tuple[Any, ...], named: dict[str, Any]) -> Callable[..., Any]:
        """A stub's method of that kind, which chooses the channel at each call."""

        def call(*arguments: Any, **options: Any) -> Any:
            channel = self._current()
            made = getattr(channel, kind)(*described, **named)(*arguments, **options)
            self._calls[channel] += 1
            made.add_done_callback(lambda _: self._ended(channel))
            return made

        return call

    def _ended(self, channel: aio.Channel) -> None:
        self._calls[channel] -= 1
        self._close_if_left(channel)

    def _current(self) -> aio.Channel:
        latest = self._files.latest()
        if latest is not self._credentials:
            self._credentials = latest
            if self._next is not None:
                self._retire(self._next)
            self._next = self._make(latest.for_channel())
        if self._next is not None and (_is_ready(self._next) or not _is_ready(self._channel)):
            self._retire(self._channel)
            self._channel, self._next = self._next, None
        return self._channel

    def _retire(self, channel: aio.Channel) -> None:
        self._retired.add(channel)
        self._close_if_left(channel)

    def _close_if_left(self, channel: aio.Channel) -> None:
        if channel in self._retired and not self._calls[channel]:
            self._retired.discard(channel)
            del self._calls[channel]
            task = asyncio.create_task(channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _is_ready(channel: aio.Channel) -> bool:
    return channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
