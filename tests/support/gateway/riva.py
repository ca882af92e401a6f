"""Riva's own client, unmodified, in threads beside the gateway's event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import riva.client
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from riva.client import RecognitionConfig, StreamingRecognitionConfig
from riva.client.proto.riva_asr_pb2 import RecognizeResponse, StreamingRecognizeResponse

_PLAIN = {
    "encoding": riva.client.AudioEncoding.LINEAR_PCM,
    "sample_rate_hertz": 16_000,
    "language_code": "en-US",
}


def config(**wanted: Any) -> RecognitionConfig:
    """For `silence`, unless it says otherwise."""
    return RecognitionConfig(**(_PLAIN | wanted))


def diarized(most: int = 0, **wanted: Any) -> RecognitionConfig:
    """With speakers and times, as Riva's own scripts ask for them."""
    asked = config(enable_word_time_offsets=True, **wanted)
    riva.client.add_speaker_diarization_to_config(asked, True, most)
    return asked


def silence(seconds: float = 10.0) -> bytes:
    return bytes(round(seconds * 16_000) * 2)


def cut(data: bytes, size: int = 50_000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


class RivaCaller:
    """Calls through ASRService, as code written for Riva does."""

    def __init__(self, address: str, **auth: Any) -> None:
        self.auth = riva.client.Auth(uri=address, **auth)
        self.service = riva.client.ASRService(self.auth)
        self._threads = ThreadPoolExecutor(max_workers=16)

    def close(self) -> None:
        self.auth.channel.close()
        self._threads.shutdown()

    async def recognize(self, data: bytes, wanted: RecognitionConfig | None = None) -> RecognizeResponse:
        response: RecognizeResponse = await self.threaded(
            self.service.offline_recognize, data, wanted or config()
        )
        return response

    async def threaded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """In threads of the caller's own: the loop's are the gateway's, which would wait for a free one."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def responses(
        self, chunks: Iterable[bytes], wanted: RecognitionConfig | None = None, *, interim: bool = False
    ) -> Iterator[StreamingRecognizeResponse]:
        """Blocks; for use in a thread."""
        streaming = StreamingRecognitionConfig(config=wanted or config(), interim_results=interim)
        return self.service.streaming_response_generator(chunks, streaming)

    async def stream(
        self, chunks: Iterable[bytes], wanted: RecognitionConfig | None = None, *, interim: bool = False
    ) -> list[StreamingRecognizeResponse]:
        responses: list[StreamingRecognizeResponse] = await self.threaded(
            lambda: list(self.responses(chunks, wanted, interim=interim))
        )
        return responses


@asynccontextmanager
async def calling(address: str, **auth: Any) -> AsyncIterator[RivaCaller]:
    caller = RivaCaller(address, **auth)
    try:
        yield caller
    finally:
        caller.close()


@dataclass(frozen=True)
class Refusal:
    """What a caller is told; `field` is None where none is named."""

    code: grpc.StatusCode
    message: str
    field: str | None


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Fails where the call does not."""
    try:
        answer = await call
    except grpc.RpcError as error:
        return _refusal(error)
    raise AssertionError(f"the call was answered: {answer}")


def _refusal(error: Any) -> Refusal:
    status = rpc_status.from_call(error)
    request = error_details_pb2.BadRequest()
    named = [detail for detail in (status.details if status else ()) if detail.Unpack(request)]
    return Refusal(error.code(), error.details(), request.field_violations[0].field if named else None)
