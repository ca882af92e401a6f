"""Many uploads at once over real sockets and pipes; the workers' networks hear what is written into the samples."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

import grpc
import pytest
from prometheus_client import CollectorRegistry

from benchmarks.deterministic.written import conversation
from diarization_service.metrics import DiarizationMetrics
from diarization_service.process import WorkerProcess
from diarization_service.turns import Known
from speech.diarization.v1.diarization_pb2 import DiarizeResponse
from support.diarization import Caller, chunk, config, end, in_chunks, limits, serving_with, upload
from support.diarization_worker import COMMAND, ENVIRONMENT, Deed, asking
from support.turns import Applied
from support.waiting import until

SECOND = 2 * 16_000
# What a thread may wait for a core between two steps.
BUSY_SECONDS = 1.0


class Deployment:
    """A service with worker processes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.workers: dict[int, WorkerProcess] = {}
        self.registry = registry
        self.metrics = DiarizationMetrics(registry)

    async def spawn(self, number: int) -> WorkerProcess:
        worker = await WorkerProcess.start(
            *COMMAND, environment=ENVIRONMENT, report=partial(self.metrics.reported, number)
        )
        self.workers[number] = worker
        return worker

    def value(self, name: str, **labels: str) -> float:
        """Of a metric; 0 before it was first counted."""
        return self.registry.get_sample_value(f"duoscribe_diarization_{name}", labels) or 0.0


@asynccontextmanager
async def deployed(workers: int = 1) -> AsyncIterator[tuple[Deployment, Caller]]:
    deployment = Deployment(CollectorRegistry())
    async with serving_with(
        deployment.spawn, limits(workers=workers), deployment.registry, deployment.metrics
    ) as caller:
        yield deployment, caller


def known_from(responses: Iterable[DiarizeResponse]) -> Known:
    applied = Applied()
    for response in responses:
        applied.take_any(response)
    return applied.known


@asynccontextmanager
async def begun(caller: Caller, audio: bytes) -> AsyncIterator[AsyncGenerator[DiarizeResponse, None]]:
    """The responses to a recording that has its place."""
    async with aclosing(caller.diarize(*in_chunks(audio, SECOND))) as responses:
        await anext(responses)
        yield responses


async def test_many_streams_in_any_chunks_are_answered_as_each_alone() -> None:
    audios = [conversation(people, 12.0 + 4 * people, seed=people) for people in (1, 2, 3)]
    chunks = [640, 10_000, SECOND, 4 * SECOND]
    async with deployed() as (deployment, caller):
        alone = [known_from(await caller.all(*upload(audio))) for audio in audios]
        windows = partial(deployment.value, "batch_items_sum", stage="segmentation")
        windows_alone = windows()
        together = await asyncio.gather(
            *(caller.all(*in_chunks(audio, size)) for audio in audios for size in chunks)
        )
        assert [known_from(responses) for responses in together] == [turns for turns in alone for _ in chunks]
        assert windows() == 5 * windows_alone
        await until(lambda: deployment.value("compute_seconds_count", stage="clustering") == 15)
        assert deployment.value("queue_wait_seconds_count", stage="segmentation") == windows()
        assert deployment.value("queue_items", stage="segmentation") == 0
        assert deployment.value("audio_seconds_total") == 5 * (16 + 20 + 24)


async def test_streams_share_batches_while_the_network_is_busy() -> None:
    async with deployed() as (deployment, caller):
        batches = partial(deployment.value, "batch_items_count", stage="segmentation")
        async with begun(caller, asking(Deed.BE_SLOW, 100)):
            await until(batches)
            before = batches()
            await asyncio.gather(*(caller.all(*upload(conversation(1, 3))) for _ in range(8)))
            assert batches() - before < 8


async def test_turns_come_while_audio_arrives_and_add_up_to_the_last() -> None:
    audio = conversation(3, 40)
    applied, lengths = Applied(), []
    async with deployed() as (_, caller):
        call = caller.stub.Diarize()
        await call.write(config())
        for start in range(0, 30, 5):
            await call.write(chunk(audio[start * SECOND : (start + 5) * SECOND]))
        while applied.known.horizon < 20 * 16_000:
            applied.take_any(await call.read())
        assert applied.known.turns
        assert applied.known.final_horizon == 0
        await call.write(chunk(audio[30 * SECOND :]))
        await call.write(end())
        while (response := await call.read()) is not grpc.aio.EOF:
            applied.take_any(response)
            lengths.append(len(response.turns.turns))
        assert applied.known == known_from(await caller.all(*upload(audio)))
        assert sum(lengths) <= 2 * len(applied.known.turns)


async def test_a_worker_that_is_killed_fails_its_recordings_alone_and_is_replaced() -> None:
    audio = conversation(2, 15)
    async with deployed(workers=2) as (deployment, caller):
        async with AsyncExitStack() as calls:
            doomed, spared = [
                await calls.enter_async_context(begun(caller, asking(Deed.BE_SLOW, 30))) for _ in range(2)
            ]
            killed = deployment.workers[0].pid
            os.kill(killed, signal.SIGKILL)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                async for _ in doomed:
                    pass
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
            last = [response async for response in spared][-1]
            assert last.HasField("completed")
        again = await asyncio.gather(*(caller.all(*upload(audio)) for _ in range(4)))
        assert all(responses[-1].HasField("completed") for responses in again)
        await until(lambda: deployment.workers[0].pid != killed)
        assert deployment.value("lost_workers_total") == 1


async def test_who_cancels_is_computed_no_more_and_leaves_its_place() -> None:
    async with deployed() as (deployment, caller):
        async with aclosing(caller.diarize(*in_chunks(asking(Deed.BE_SLOW, 30), SECOND))) as responses:
            async for _ in responses:
                if deployment.value("batch_items_count", stage="segmentation"):
                    break
        await until(lambda: not deployment.value("recordings"))
        assert (await caller.all(*upload(conversation(1, 3))))[-1].HasField("completed")
        assert deployment.value("batch_items_sum", stage="segmentation") < 21


async def test_what_was_still_computed_for_who_cancelled_is_told_and_is_one_batch_at_most() -> None:
    async with deployed() as (deployment, caller):
        computing = partial(deployment.value, "compute_seconds_sum", stage="segmentation")
        async with aclosing(caller.diarize(*in_chunks(asking(Deed.BE_SLOW, 30), SECOND))) as responses:
            async for _ in responses:
                if before := computing():
                    break
        gone_on = partial(deployment.value, stage="networks")
        await until(lambda: gone_on("compute_after_cancel_seconds_count"))
        # Reports come in order: whatever was computed until then has been told.
        assert 0 < gone_on("compute_after_cancel_seconds_sum") <= computing() - before + BUSY_SECONDS
        batches = deployment.value("batch_items_count", stage="segmentation")
        assert (await caller.all(*upload(conversation(1, 3))))[-1].HasField("completed")
        assert deployment.value("batch_items_count", stage="segmentation") == batches + 1
        assert gone_on("compute_after_cancel_seconds_count") == 1
        assert deployment.value("real_time_factor_count") == 1


async def test_who_does_not_read_holds_up_nobody() -> None:
    long, short = conversation(2, 200), conversation(2, 15)
    async with deployed() as (_, caller):
        call = caller.stub.Diarize()

        async def send() -> None:
            for request in in_chunks(long, SECOND):
                await call.write(request)

        sending = asyncio.create_task(send())
        answers = await asyncio.gather(*(caller.all(*upload(short)) for _ in range(3)))
        assert all(len(responses[-1].completed.speakers) == 2 for responses in answers)
        while (response := await call.read()) is not grpc.aio.EOF:
            last = response
        await sending
        assert last.HasField("completed")
