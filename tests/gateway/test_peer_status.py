"""Refusals within an upload keep their reasons, however fast the client writes."""

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode

from gateway.client import TranscriptionError, configuration
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import diarization, failing, recognition

TRIES = 15


async def flood(chunk_bytes: int):
    for _ in range(40):
        yield bytes(chunk_bytes)


@pytest.mark.parametrize("chunk_bytes", [1_000, 50_000, 3_000_000])
async def test_a_refusal_reaches_a_client_who_is_writing(tmp_path, chunk_bytes):
    bad = configuration(pcm=PCM, request_id="x" * 129)
    async with deployed(tmp_path, recognition(), diarization()) as door:
        for _ in range(TRIES):
            with pytest.raises(TranscriptionError) as caught:
                async for _ in door.client.transcribe(flood(chunk_bytes), bad):
                    pass
            assert (caught.value.code, caught.value.field) == (
                StatusCode.INVALID_ARGUMENT,
                "config.request_id",
            )
            with pytest.raises(TranscriptionError) as caught:
                await door.client.transcribe_file(flood(chunk_bytes), bad)
            assert (caught.value.code, caught.value.field) == (
                StatusCode.INVALID_ARGUMENT,
                "config.request_id",
            )


async def test_a_backends_refusal_reaches_a_gateway_who_is_writing(tmp_path):
    wait = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=50_000_000))
    refusals = [failing(StatusCode.RESOURCE_EXHAUSTED, "full", wait, after=0)] * TRIES
    async with deployed(tmp_path, recognition(faults=refusals), diarization(), attempts=1) as door:
        for _ in range(TRIES):
            with pytest.raises(TranscriptionError) as caught:
                await door.client.transcribe_file(audio(60.0, 1_000_000), configuration(pcm=PCM))
            assert (caught.value.code, caught.value.retry_after) == (StatusCode.RESOURCE_EXHAUSTED, 0.05)
            await asyncio.sleep(0)
