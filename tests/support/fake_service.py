"""A service with the real contract and no model, served by the real server, and what tests say to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import grpc
from google.rpc import status_pb2

from serving.admission import Line
from serving.calls import responses
from serving.config import ServerConfig
from serving.server import RunningServer, running
from serving.status import from_rpc_error
from serving.upload import Upload
from speech.asr.v1 import asr_pb2, asr_pb2_grpc

NAME = "speech.asr.v1.SpeechRecognition"

RecognitionUpload: TypeAlias = Upload[asr_pb2.RecognitionConfig]


async def read_all(upload: RecognitionUpload) -> int:
    """Length of the recording in bytes."""
    return sum([len(chunk) async for chunk in upload.chunks()])


async def nothing() -> None: ...


class FakeService(asr_pb2_grpc.SpeechRecognitionServicer):
    """Answers with the count of the bytes it was sent; `read`, `start` and `describe` may be told otherwise."""

    names = (NAME,)

    def __init__(
        self,
        config: ServerConfig,
        *,
        read: Callable[[RecognitionUpload], Awaitable[int]] = read_all,
        start: Callable[[], Awaitable[None]] = nothing,
        describe: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self.config = config
        self._start = start
        self.closed = False
        self._read = read
        self._describe = describe

    def register(self, server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(self, server)

    async def start(self) -> None:
        await self._start()

    async def close(self) -> None:
        self.closed = True

    async def Recognize(self, request_iterator: Any, context: Any) -> None:
        upload = await Upload.open(request_iterator, context, self.config)
        await context.write(started(upload.request_id))
        size = await self._read(upload)
        await context.write(asr_pb2.RecognizeResponse(completed=asr_pb2.RecognitionCompleted(words=size)))

    async def DescribeRecognition(self, request: Any, context: Any) -> asr_pb2.DescribeRecognitionResponse:
        await self._describe()
        return asr_pb2.DescribeRecognitionResponse(family="fake")


@dataclass(frozen=True)
class Door:
    """A running server and a caller's way in."""

    server: RunningServer
    channel: grpc.aio.Channel
    stub: "asr_pb2_grpc.SpeechRecognitionAsyncStub"

    async def describe(self) -> str:
        return (await self.stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest())).family

    async def recognize(self, *messages: asr_pb2.RecognizeRequest, **call: Any) -> tuple[str, int]:
        """Request id and bytes counted."""
        first, last = await answers(self.stub.Recognize(stream_of(messages), **call))
        return first.started.request_id, last.completed.words


@contextlib.asynccontextmanager
async def opened(
    service: FakeService, *, loaded: bool = True, line: Line | None = None
) -> AsyncIterator[Door]:
    async with running(service, service.config, line=line) as server:
        if loaded:
            await server.wait_serving()
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Door(server, channel, asr_pb2_grpc.SpeechRecognitionStub(channel))


def limits(**changes: Any) -> ServerConfig:
    """A configuration for tests: any free port, short waits."""
    return replace(ServerConfig(drain_seconds=5.0, max_idle_seconds=10.0), **changes)


async def stream_of(messages: Iterable[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def answers(call: Any) -> list[asr_pb2.RecognizeResponse]:
    return [response async for response in responses(call)]


def config(request_id: str = "") -> asr_pb2.RecognizeRequest:
    return asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(request_id=request_id))


def audio(chunk: bytes) -> asr_pb2.RecognizeRequest:
    return asr_pb2.RecognizeRequest(audio=chunk)


def end() -> asr_pb2.RecognizeRequest:
    return asr_pb2.RecognizeRequest(end_of_audio={})


def started(request_id: str) -> asr_pb2.RecognizeResponse:
    return asr_pb2.RecognizeResponse(started=asr_pb2.RecognitionStarted(request_id=request_id))


async def status_of(call: Awaitable[Any]) -> status_pb2.Status:
    """What a call that must fail fails with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError(f"the call succeeded with {answer!r}")


class Gate:
    """A read of an upload that can be seen to begin, waits to be let on, and tells how it ended."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.released = asyncio.Event()
        self.ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read(self, upload: RecognitionUpload) -> int:
        self.entered.set()
        try:
            await self.released.wait()
            size = await read_all(upload)
        except BaseException as error:
            self.ending.set_result(type(error).__name__)
            raise
        self.ending.set_result("done")
        return size
