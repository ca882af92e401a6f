"""A connection that goes dead while a call only waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from serving.keepalive import keepalive_options
from speech.asr.v1 import asr_pb2, asr_pb2_grpc

OPTIONS = keepalive_options(interval_ms=300, timeout_ms=300)
# Frequent pings are taken for an attack otherwise.
SERVER_OPTIONS = [("grpc.http2.min_ping_interval_without_data_ms", 100)]
LONG_ENOUGH = 2.0


class Waiting(asr_pb2_grpc.SpeechRecognitionServicer):
    """Says one thing and then nothing."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def Recognize(self, request_iterator: Any, context: Any) -> None:
        await context.write(asr_pb2.RecognizeResponse())
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


class Proxy:
    """Passes bytes on, until it is `dead`: then it takes them and does nothing, and closes nothing."""

    def __init__(self, port: int) -> None:
        self.dead = False
        self._port = port
        self._passing: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        for task in self._passing:
            task.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(
            *self._passing, *(writer.wait_closed() for writer in self._writers), return_exceptions=True
        )

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, onward_writer]
        for source, sink in ((reader, onward_writer), (onward_reader, writer)):
            self._passing.append(asyncio.create_task(self._pass(source, sink)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if not self.dead:
                writer.write(piece)


@asynccontextmanager
async def served(servicer: Waiting) -> AsyncIterator[int]:
    server = grpc.aio.server(options=OPTIONS + SERVER_OPTIONS)
    asr_pb2_grpc.add_SpeechRecognitionServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


async def test_both_sides_notice_that_the_other_is_gone() -> None:
    waiting = Waiting()
    async with served(waiting) as port:
        proxy = Proxy(port)
        async with (
            proxy.listening() as address,
            grpc.aio.insecure_channel(address, options=OPTIONS) as channel,
        ):
            call = asr_pb2_grpc.SpeechRecognitionStub(channel).Recognize()
            await call.read()
            await asyncio.sleep(LONG_ENOUGH)  # for several pings with nothing else between them
            assert not call.done()
            proxy.dead = True
            async with asyncio.timeout(LONG_ENOUGH):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
                await waiting.left.wait()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
