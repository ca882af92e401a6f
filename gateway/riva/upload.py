"""Riva's two ways of sending a recording: as one message, and as a stream that its caller closes at the end."""

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass

from riva.client.proto.riva_asr_pb2 import StreamingRecognitionConfig, StreamingRecognizeRequest

from gateway.riva.fields import check_known
from serving import tracing
from serving.config import ServerConfig
from serving.errors import Abandoned, IdleTooLong, InvalidConfig, ProtocolViolation
from serving.idle import IdleClock
from serving.upload import CallContext, check_message_size, was_cancelled
from speech.gateway.v1 import gateway_pb2

# What a decoder is given at a time.
_PIECE_BYTES = 128 * 1024


@dataclass(frozen=True)
class RivaUpload:
    """A recording on its way in, as every door's."""

    config: gateway_pb2.TranscriptionConfig
    request_id: str
    audio: AsyncIterator[bytes]

    def chunks(self) -> AsyncIterator[bytes]:
        return self.audio


async def pieces(recording: bytes) -> AsyncIterator[bytes]:
    """Of a recording that came as a whole."""
    for start in range(0, len(recording), _PIECE_BYTES):
        yield recording[start : start + _PIECE_BYTES]


class Requests:
    """The messages of StreamingRecognize: `config` first, then `audio`. There is no end but the stream's."""

    def __init__(
        self, messages: AsyncIterator[StreamingRecognizeRequest], context: CallContext, config: ServerConfig
    ) -> None:
        self._messages = messages
        self._context = context
        self._max_bytes = config.max_message_bytes
        self._max_idle = config.max_idle_seconds
        self._idle = IdleClock(self._max_idle)
        self.id = ""

    async def config(self) -> StreamingRecognitionConfig:
        """Raises ProtocolViolation, InvalidConfig, InvalidRequest (over the message limit), IdleTooLong, Abandoned."""
        message = await self._next()
        if message is None:
            raise ProtocolViolation("the stream ended before its first message", field="streaming_config")
        kind = message.WhichOneof("streaming_request")
        if kind != "streaming_config":
            raise ProtocolViolation(
                f"the first message must be the streaming_config, but {kind or 'an empty message'} came first",
                field=kind or "streaming_request",
            )
        check_known(message)
        check_message_size(message.ByteSize(), self._max_bytes, "streaming_config")
        self.id = message.id.value
        return message.streaming_config

    async def audio(self) -> AsyncIterator[bytes]:
        """The recording's bytes as they arrive, never empty, until the caller closes the stream.

        Raises ProtocolViolation, InvalidConfig, InvalidRequest (over the message limit), IdleTooLong, Abandoned.
        """
        with tracing.stage("upload"), closing(self._idle):
            while (message := await self._next()) is not None:
                if message.WhichOneof("streaming_request") != "audio_content":
                    raise ProtocolViolation(
                        "after the streaming_config, sent once, every message holds audio_content",
                        field=message.WhichOneof("streaming_request") or "streaming_request",
                    )
                # Each look at the field copies it.
                if audio := message.audio_content:
                    check_message_size(len(audio), self._max_bytes, "audio_content")
                    yield audio

    async def _next(self) -> StreamingRecognizeRequest | None:
        """None at the end. The clock of idleness runs in here only: not while nobody asks."""
        try:
            with self._idle:
                message = await anext(self._messages, None)
        except TimeoutError:
            raise IdleTooLong(
                f"no message came for {self._max_idle:g} s; send audio as it is recorded, then close the stream"
            ) from None
        if message is None:
            if await was_cancelled(self._context):
                raise Abandoned("the call was cancelled before the stream was closed")
            return None
        self._check_accompanying(message)
        return message

    def _check_accompanying(self, message: StreamingRecognizeRequest) -> None:
        if message.runtime_config:
            raise InvalidConfig(
                "runtime_config cannot be honoured: nothing can be changed while a stream runs; leave it out",
                field="runtime_config",
            )
        if self.id and message.id.value not in {"", self.id}:
            raise ProtocolViolation("a stream has one id, and a second one came", field="id")
