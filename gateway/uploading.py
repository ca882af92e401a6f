"""One call of Transcribe, seen from its caller: requests go out while events come in."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, TypeVar

import grpc
from grpc import aio

from serving.calls import responses
from speech.gateway.v1 import gateway_pb2

RequestT = TypeVar("RequestT", gateway_pb2.TranscribeRequest, gateway_pb2.TranscribeFileRequest)

TranscribeCall = aio.StreamStreamCall[gateway_pb2.TranscribeRequest, gateway_pb2.TranscribeResponse]


async def events(
    call: TranscribeCall, requests: AsyncIterable[gateway_pb2.TranscribeRequest]
) -> AsyncGenerator[gateway_pb2.TranscribeResponse]:
    """Send `requests` and yield events as they come; leaving the iteration cancels the call.

    To be asked for as soon as the call is made. Raises AioRpcError with the status that the gateway sent, INTERNAL where its
    answer is not complete, and whatever `requests` raises.
    """
    answer = responses(call)
    upload = asyncio.create_task(send(call, requests))
    is_complete = False
    try:
        async for event in answer:
            is_complete = event.HasField("completed")
            yield event
        if not is_complete:
            raise _incomplete()
    except asyncio.CancelledError:
        # The upload cancels the call when its source fails; then the source's error is the one to tell.
        if upload.done() and not upload.cancelled() and (failure := upload.exception()):
            raise failure from None
        raise
    finally:
        upload.cancel()
        await asyncio.gather(upload, answer.aclose(), return_exceptions=True)


async def send(
    call: aio.StreamStreamCall[RequestT, Any] | aio.StreamUnaryCall[RequestT, Any],
    requests: AsyncIterable[RequestT],
) -> None:
    """Send `requests` to their end, or until the gateway ends the call. Cancels it where `requests` fails, and raises that."""
    try:
        async for request in requests:
            await call.write(request)
        await call.done_writing()
    except (aio.AioRpcError, asyncio.InvalidStateError):
        return  # The gateway ended the call before the upload's end: whoever reads the answer learns why.
    except BaseException:
        call.cancel()
        raise


def _incomplete() -> aio.AioRpcError:
    return aio.AioRpcError(
        grpc.StatusCode.INTERNAL,
        aio.Metadata(),
        aio.Metadata(),
        details="the answer ended before it was complete",
    )
