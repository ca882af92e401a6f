"""What the service and a worker say to each other about one recording, seen from the service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from google.protobuf.wrappers_pb2 import Int64Value
from google.rpc.status_pb2 import Status

from diarization_service.frames import Kind
from diarization_service.times import Times
from serving.errors import DuoscribeError, StageFailed
from speech.audio.v1.audio_pb2 import EndOfAudio
from speech.diarization.v1.diarization_pb2 import DiarizeRequest, DiarizeResponse

_BYTES_PER_SAMPLE = 2

# With so many responses unread, no audio is sent: a caller who does not read slows its own upload down.
_MOST_UNREAD = 64


class Exchange(Protocol):
    """One recording's: audio there, responses back, at the same time. Both raise Unavailable and StageFailed."""

    @property
    def times(self) -> Times:
        """How it was computed, once `responses` has come to its end."""

    async def send(self, pcm: bytes) -> None:
        """Audio, 16 kHz mono s16le. Waits while the worker has enough of it, or responses are not read."""

    async def end(self) -> None:
        """No audio follows."""

    def responses(self) -> AsyncIterator[DiarizeResponse]:
        """Progress, turns, and last completed."""


class WorkerExchange:
    """An exchange over a worker's pipes."""

    def __init__(self, send: Callable[[DiarizeRequest], Awaitable[None]]) -> None:
        self.over = asyncio.Event()
        """Nothing more will come."""
        self.granted = 0
        """Samples that the worker takes in all."""
        self.sent = 0
        """Samples sent of them."""
        self.times = Times()
        self._send = send
        self._responses: asyncio.Queue[DiarizeResponse | DuoscribeError] = asyncio.Queue()
        self._error: DuoscribeError | None = None
        self._news = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        rest = memoryview(pcm)
        while rest:
            size = _BYTES_PER_SAMPLE * await self._room()
            await self._send(DiarizeRequest(audio=bytes(rest[:size])))
            self.sent += len(rest[:size]) // _BYTES_PER_SAMPLE
            rest = rest[size:]

    async def end(self) -> None:
        await self._send(DiarizeRequest(end_of_audio=EndOfAudio()))

    async def responses(self) -> AsyncIterator[DiarizeResponse]:
        is_last = False
        while not is_last:
            response = await self._responses.get()
            self._news.set()
            if isinstance(response, DuoscribeError):
                raise response
            is_last = response.HasField("completed")
            yield response

    def take(self, kind: Kind, payload: bytes) -> None:
        """What came from the worker."""
        if kind == Kind.FAILED:
            self.fail(StageFailed(Status.FromString(payload)))
            return
        if kind == Kind.GRANT:
            self.granted = Int64Value.FromString(payload).value
        elif kind == Kind.TIMES:
            self.times = Times.from_bytes(payload)
        else:
            response = DiarizeResponse.FromString(payload)
            self._responses.put_nowait(response)
            if response.HasField("completed"):
                self.over.set()
        self._news.set()

    def fail(self, error: DuoscribeError) -> None:
        """Nothing will come any more."""
        self._error = error
        self._responses.put_nowait(error)
        self.over.set()
        self._news.set()

    async def _room(self) -> int:
        """Samples that may be sent now, once there are any."""
        while self.granted <= self.sent or self._responses.qsize() > _MOST_UNREAD:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self.granted - self.sent
