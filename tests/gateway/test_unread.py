"""A caller who uploads and does not read for too long does not keep its place; one who reads late gets everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gateway.client import TranscriptionError, configuration
from speech.audio.v1 import audio_pb2
from speech.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from support.gateway.deployment import PCM, Deployment, deployed
from support.gateway.fakes import diarization, recognition

# Eight megabytes of text: more than gRPC keeps on the way for a caller who does not read.
UTTERANCES = [(second, second + 0.5, "a" * 2**20) for second in range(8)]


@asynccontextmanager
async def uploaded(address: str) -> AsyncIterator[Any]:
    """A call whose upload is complete and of whose events none was read."""
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call = gateway_pb2_grpc.TranscriptionStub(channel).Transcribe()
        await call.write(gateway_pb2.TranscribeRequest(config=configuration(pcm=PCM)))
        await call.write(gateway_pb2.TranscribeRequest(audio=bytes(320_000)))
        await call.write(gateway_pb2.TranscribeRequest(end_of_audio=audio_pb2.EndOfAudio()))
        yield call


async def refused(door: Deployment) -> bool:
    try:
        await door.transcript(1.0, final_only=True)
    except TranscriptionError as error:
        if error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return True
    return False


async def test_its_place_is_given_to_another(tmp_path):
    backends = recognition(*UTTERANCES), diarization()
    async with (
        deployed(tmp_path, *backends, max_streams=1, max_idle_seconds=2.0) as door,
        uploaded(door.address),
        asyncio.timeout(30),
    ):
        while await refused(door):  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.05)


async def test_who_reads_late_gets_everything(tmp_path):
    backends = recognition(*UTTERANCES), diarization()
    async with (
        deployed(tmp_path, *backends, max_idle_seconds=30.0) as door,
        uploaded(door.address) as call,
    ):
        await asyncio.sleep(0.3)
        kinds = [event.WhichOneof("event") async for event in call]
    assert kinds[-1] == "completed"
