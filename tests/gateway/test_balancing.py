"""Recordings over several replicas, which come and go: the real gateway before fake backends on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode

from gateway.channels import ROUND_ROBIN
from gateway.client import TranscriptionError
from serving.server import running
from support.dns import name_server
from support.gateway.deployment import Deployment, deployed
from support.gateway.fakes import FakeBackend, FakeRecognition, diarization, failing, recognition
from support.processes import free_address
from support.waiting import until

UTTERANCES = ((0.5, 2.5, "hello there you"),)
WORDS = "hello there you"
NEVER = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=3600))


def calls(*replicas: FakeBackend) -> list[int]:
    return [len(replica.calls) for replica in replicas]


async def several(door: Deployment, count: int) -> list[str]:
    """Texts of recordings that are uploaded at once."""
    transcripts = await asyncio.gather(*(door.transcript() for _ in range(count)))
    return [transcript.text for transcript in transcripts]


@asynccontextmanager
async def served(backend: FakeBackend, address: str) -> AsyncIterator[None]:
    backend.config = replace(backend.config, address=address, max_connection_age_seconds=0.5)
    async with running(backend, backend.config) as server:
        await server.wait_serving()
        yield


async def test_recordings_in_flight_are_spread_evenly(tmp_path):
    replicas = [recognition(*UTTERANCES) for _ in range(3)]
    for each in replicas:
        each.released.clear()
    async with deployed(tmp_path, replicas, diarization()) as door:
        uploads = asyncio.create_task(several(door, 9))
        await until(lambda: sum(calls(*replicas)) == 9)
        assert calls(*replicas) == [3, 3, 3]
        for each in replicas:
            each.released.set()
        assert await uploads == [WORDS] * 9


async def test_a_replica_that_still_has_its_recordings_gets_no_more(tmp_path):
    slow, fast = recognition(*UTTERANCES), recognition(*UTTERANCES)
    slow.released.clear()
    async with deployed(tmp_path, [slow, fast], diarization()) as door:
        stuck = []
        while not slow.calls:
            stuck.append(asyncio.create_task(door.transcript()))
            await until(lambda: sum(calls(slow, fast)) == len(stuck))
        before = len(fast.calls)
        for _ in range(5):
            await door.transcript()
        assert calls(slow, fast) == [1, before + 5]
        slow.released.set()
        await asyncio.gather(*stuck)


async def test_a_recording_that_is_refused_goes_on_at_another_replica_without_waiting(tmp_path):
    replicas = [
        recognition(*UTTERANCES, faults=[failing(StatusCode.RESOURCE_EXHAUSTED, "full", NEVER, after=0)] * 9)
        for _ in range(2)
    ]
    free = recognition(*UTTERANCES)
    async with asyncio.timeout(20), deployed(tmp_path, [*replicas, free], diarization()) as door:
        assert await several(door, 1) == [WORDS]
        assert await several(door, 12) == [WORDS] * 12
    # Nobody else asks who has said that it is full.
    assert all(len(replica.calls) <= 12 for replica in replicas)
    assert len(free.calls) == 13


async def test_each_attempt_goes_to_another_replica(tmp_path):
    replicas = [recognition(*UTTERANCES, faults=[failing(StatusCode.UNAVAILABLE, after=0)]) for _ in range(3)]
    async with deployed(tmp_path, replicas, diarization(), attempts=4) as door:
        assert (await door.transcript()).text == WORDS
    assert sorted(calls(*replicas)) == [1, 1, 2]


async def test_describing_is_asked_again_by_grpc_itself(tmp_path):
    class Faltering(FakeRecognition):
        asked = 0

        async def DescribeRecognition(self, request, context):
            self.asked += 1
            if self.asked < 3:
                await context.abort(StatusCode.UNAVAILABLE, "not now")
            return await super().DescribeRecognition(request, context)

    template = recognition()
    asr = Faltering(template.script[0].message, template.script[1:])
    async with deployed(tmp_path, asr, diarization()) as door:
        assert (await door.client.describe()).asr.family == "fake"
    assert asr.asked == 3


async def test_an_upload_is_never_repeated_by_grpc(tmp_path):
    asr = recognition(*UTTERANCES, faults=[failing(StatusCode.UNAVAILABLE, after=0)])
    async with deployed(tmp_path, asr, diarization(), attempts=1) as door:
        with pytest.raises(TranscriptionError, match="no healthy backend"):
            await door.transcript()
    assert len(asr.calls) == 1


async def test_replicas_that_appear_are_called_and_uploads_outlive_their_connections(tmp_path):
    """A name's replicas are looked up again when a connection has reached its age; nobody restarts the gateway."""
    old, new = recognition(*UTTERANCES), recognition(*UTTERANCES)
    old.released.clear()
    port = free_address().rpartition(":")[2]
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(name_server("127.0.0.1"))
        await stack.enter_async_context(served(old, f"127.0.0.1:{port}"))
        asr = (f"dns://{names.address}/asr.test:{port}",)
        door = await stack.enter_async_context(
            deployed(tmp_path, [], diarization(), asr=asr, balancing=ROUND_ROBIN)
        )
        upload = asyncio.create_task(door.transcript())
        await until(lambda: old.calls)
        await stack.enter_async_context(served(new, f"127.0.0.2:{port}"))
        names.addresses.append("127.0.0.2")
        async with asyncio.timeout(30):
            while not new.calls:
                later = asyncio.create_task(door.transcript(0.1))
                await asyncio.sleep(0.2)
                await cancelled(later)
        old.released.set()
        transcript = await upload
    assert transcript.text == WORDS
    assert [stage.attempts for stage in transcript.completed.stages] == [1, 1]


async def test_a_name_that_the_system_knows_is_looked_up_by_the_gateway_itself(tmp_path):
    asr, address = recognition(*UTTERANCES), free_address()
    async with (
        served(asr, address),
        deployed(tmp_path, [], diarization(), asr=(f"dns:///{address}",)) as door,
    ):
        assert (await door.transcript()).text == WORDS


async def test_a_name_that_nobody_knows_is_a_backend_that_cannot_be_reached(tmp_path):
    async with deployed(tmp_path, [], diarization(), asr=("asr.invalid:50051",), attempts=2) as door:
        with pytest.raises(TranscriptionError, match="no healthy backend for speech recognition"):
            await door.transcript()
        described = await door.client.describe()
    assert not described.HasField("asr")


async def cancelled(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.wait({task})
