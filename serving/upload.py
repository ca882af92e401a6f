"""The one way a recording is uploaded to any of the services: a config, audio, an explicit end.

The request messages of all services have the same three members, so one reader checks them all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Generic, Literal, Never, Protocol, TypeVar

from serving import logs, tracing
from serving.config import ServerConfig
from serving.errors import Abandoned, IdleTooLong, InvalidConfig, InvalidRequest, ProtocolViolation
from serving.idle import IdleClock

# grpc.aio ends the request stream of a cancelled or timed-out call as if the caller had finished; that the call was
# cancelled shows a moment later.
_CANCELLATION_GRACE_SECONDS = 0.25
_CANCELLATION_POLL_SECONDS = 0.01

# Long enough for a message that was sent together with end_of_audio, too short to be noticed by callers who leave the
# stream open after it.
_AFTER_END_SECONDS = 0.05


class UploadConfig(Protocol):
    """The config of any service."""

    @property
    def request_id(self) -> str: ...


ConfigT = TypeVar("ConfigT", bound=UploadConfig)
ConfigT_co = TypeVar("ConfigT_co", bound=UploadConfig, covariant=True)


class UploadMessage(Protocol[ConfigT_co]):
    """A request message of any service."""

    @property
    def config(self) -> ConfigT_co: ...

    @property
    def audio(self) -> bytes: ...

    def WhichOneof(self, oneof_group: Literal["message"], /) -> str | None: ...  # noqa: N802 - protobuf's name

    def ByteSize(self) -> int: ...  # noqa: N802 - protobuf's name


class CallContext(Protocol):
    """What is needed of grpc.aio.ServicerContext."""

    def cancelled(self) -> bool: ...


class Upload(Generic[ConfigT]):
    """A recording on its way in; made by `open`, read once through `chunks`."""

    def __init__(self, messages: "_Messages[ConfigT]", config: ConfigT, request_id: str) -> None:
        self.config = config
        self.request_id = request_id
        self._messages = messages

    @classmethod
    async def open(
        cls,
        request_iterator: AsyncIterator[UploadMessage[ConfigT]],
        context: CallContext,
        config: ServerConfig,
    ) -> "Upload[ConfigT]":
        """Read and check the first message, and bind the request id to the call's log lines.

        Raises ProtocolViolation, InvalidConfig, InvalidRequest (over the message limit), IdleTooLong, Abandoned.
        """
        messages = _Messages(request_iterator, context, config)
        kind, first = await messages.next()
        if kind != "config":
            raise ProtocolViolation(
                f"the first message must be the config, but {_named(kind)} came first",
                field=kind or "message",
            )
        request_id = bound_request_id(first.config.request_id, field="config.request_id")
        return cls(messages, first.config, request_id)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The recording's bytes as they arrive, never empty, up to end_of_audio.

        Raises ProtocolViolation (no end_of_audio, config twice, an empty message, a message after the end),
        InvalidRequest (over the message limit), IdleTooLong, Abandoned.
        """
        with tracing.stage("upload"), closing(self._messages):
            while True:
                kind, message = await self._messages.next()
                if kind == "audio":
                    # Each look at the field copies it.
                    if audio := self._messages.checked(message.audio):
                        yield audio
                elif kind == "end_of_audio":
                    await self._messages.expect_end()
                    return
                elif kind == "config":
                    raise ProtocolViolation(
                        "the config came a second time; it is sent once, first", field="config"
                    )
                else:
                    raise ProtocolViolation(f"{_named(kind)} came within the audio", field="message")


class _Messages(Generic[ConfigT]):
    """Request messages, one at a time, with what can go wrong while waiting for them."""

    def __init__(
        self,
        request_iterator: AsyncIterator[UploadMessage[ConfigT]],
        context: CallContext,
        config: ServerConfig,
    ) -> None:
        self._iterator = request_iterator
        self._context = context
        self._max_bytes = config.max_message_bytes
        self._max_idle = config.max_idle_seconds
        self._idle = IdleClock(self._max_idle)

    async def next(self) -> tuple[str | None, UploadMessage[ConfigT]]:
        """The next message and its kind. The clock of idleness runs in here only: not while nobody asks."""
        try:
            with self._idle:
                message = await anext(self._iterator, None)
        except TimeoutError:
            raise IdleTooLong(
                f"no message came for {self._max_idle:g} s; send audio as it is recorded, then end_of_audio"
            ) from None
        if message is None:
            await self._ended_early()
        kind = message.WhichOneof("message")
        if kind != "audio":
            check_message_size(message.ByteSize(), self._max_bytes, "config")
        return kind, message

    def close(self) -> None:
        self._idle.close()

    def checked(self, audio: bytes) -> bytes:
        """The limit is told to callers as the audio's length; the few bytes of framing around it are free."""
        check_message_size(len(audio), self._max_bytes, "audio")
        return audio

    async def expect_end(self) -> None:
        """Refuse a message that came right behind end_of_audio; who leaves the stream open is not waited for."""
        try:
            async with asyncio.timeout(_AFTER_END_SECONDS):
                extra = await anext(self._iterator, None)
        except TimeoutError:
            return
        if extra is not None:
            kind = extra.WhichOneof("message")
            raise ProtocolViolation(
                f"{_named(kind)} came after end_of_audio, which is the last message", field=kind or "message"
            )

    async def _ended_early(self) -> Never:
        if await was_cancelled(self._context):
            raise Abandoned("the call was cancelled before end_of_audio")
        raise ProtocolViolation(
            "stream ended without end_of_audio; send it after the last audio", field="end_of_audio"
        )


def check_message_size(size: int, most: int, field: str) -> None:
    """Raises InvalidRequest, which names the field, for a message of a stream that is above the limit."""
    if size > most:
        raise InvalidRequest(
            f"a message holds {size:,} bytes and the limit is {most:,}; send smaller chunks", field=field
        )


async def was_cancelled(context: CallContext) -> bool:
    """Why a request stream has ended: because its call was cancelled, or timed out. False takes as long as that may take to show."""
    for _ in range(round(_CANCELLATION_GRACE_SECONDS / _CANCELLATION_POLL_SECONDS)):
        if context.cancelled():
            return True
        await asyncio.sleep(_CANCELLATION_POLL_SECONDS)
    return False


def bound_request_id(given: str, *, field: str) -> str:
    """What `field` gives, or else the call's own; from now on in its log lines and its trace. Raises InvalidConfig."""
    if given and not logs.is_request_id(given):
        raise InvalidConfig(
            f"{field.rpartition('.')[2]} must be at most {logs.MAX_REQUEST_ID_CHARS} printable characters",
            field=field,
        )
    request_id = given or logs.current_request_id()
    logs.bind_request_id(request_id)
    tracing.describe(request_id=request_id)
    return request_id


def _named(kind: str | None) -> str:
    return kind or "an empty message"
