"""Calls to a gateway that asks who makes them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from gateway.client import TranscriptionClient, TranscriptionError, configuration
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.gateway.deployment import PCM, Deployment, audio


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def describe(
    door: Deployment,
    metadata: Sequence[tuple[str, str]] = (),
    credentials: grpc.ChannelCredentials | None = None,
) -> tuple[grpc.StatusCode, str]:
    """The status of the cheapest call that has to be let in."""
    channel = (
        grpc.aio.insecure_channel(door.address)
        if credentials is None
        else grpc.aio.secure_channel(door.address, credentials)
    )
    async with channel:
        stub = gateway_pb2_grpc.TranscriptionStub(channel)
        try:
            await stub.DescribeTranscription(
                gateway_pb2.DescribeTranscriptionRequest(), metadata=metadata, timeout=10
            )
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def transcribe(door: Deployment, metadata: Sequence[tuple[str, str]]) -> None:
    """A second of audio."""

    async def upload() -> AsyncIterator[gateway_pb2.TranscribeFileRequest]:
        yield gateway_pb2.TranscribeFileRequest(config=configuration(pcm=PCM))
        async for chunk in audio(1.0):
            yield gateway_pb2.TranscribeFileRequest(audio=chunk)
        yield gateway_pb2.TranscribeFileRequest(end_of_audio={})

    async with grpc.aio.insecure_channel(door.address) as channel:
        await gateway_pb2_grpc.TranscriptionStub(channel).TranscribeFile(upload(), metadata=metadata)


async def refusal(call: Any) -> TranscriptionError:
    """What a call that must fail fails with."""
    try:
        answer = await call
    except TranscriptionError as error:
        return error
    raise AssertionError(f"the call succeeded with {answer!r}")


def client(door: Deployment, token: str) -> TranscriptionClient:
    return TranscriptionClient(door.address, token=token)


def replace(path: Path, text: str) -> None:
    """By another file of the same name, as careful tools do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)
