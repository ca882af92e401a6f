"""How long recordings would wait, by what workers report."""

import asyncio

import grpc
import pytest
from google.rpc import code_pb2

from diarization_service.line import Lines, WorkerLine
from diarization_service.reports import CLUSTERING, EMBEDDING, SEGMENTATION, Report
from support.diarization import FakeWorker, limits, serving_with, upload


def segmented(windows: int, seconds: float, **queued: int) -> Report:
    return Report(SEGMENTATION, windows, seconds, queued=queued)


def embedded(blocks: int, seconds: float, **queued: int) -> Report:
    return Report(EMBEDDING, blocks, seconds, queued=queued)


def test_a_worker_that_computed_nothing_makes_nobody_wait():
    line = WorkerLine()
    assert line.wait() == 0.0
    line.reported(Report(CLUSTERING, 1, 5.0, queued={SEGMENTATION: 10, EMBEDDING: 10}))
    assert line.wait() == 0.0


def test_what_waits_takes_as_long_as_lately():
    line = WorkerLine()
    line.reported(segmented(10, 1.0, segmentation=0, embedding=10))
    line.reported(embedded(10, 20.0, segmentation=0, embedding=3))
    assert line.wait() == pytest.approx(3 * 2.0)


def test_windows_count_with_the_blocks_that_they_become():
    line = WorkerLine()
    for _ in range(200):
        line.reported(segmented(40, 4.0))
        line.reported(embedded(2, 10.0, segmentation=20, embedding=0))
    # 20 windows at 0.1 s, and of each a twentieth of a block at 5 s.
    assert line.wait() == pytest.approx(20 * 0.1 + 20 / 20 * 5.0, rel=0.1)


def test_what_was_long_ago_is_forgotten():
    line = WorkerLine()
    line.reported(embedded(1, 100.0))
    for _ in range(60):
        line.reported(embedded(1, 1.0, embedding=1))
    assert line.wait() == pytest.approx(1.0, rel=0.25)


async def test_a_recording_is_refused_while_it_would_wait_too_long_at_every_worker():
    workers, lines = [FakeWorker(), FakeWorker()], Lines()

    async def spawn(number):
        return workers[number]

    async with serving_with(spawn, limits(workers=2, max_wait_seconds=10.0), lines=lines) as caller:
        for number in range(2):
            lines.reported(number, segmented(1, 10.0, segmentation=3))
        # Without recordings they report no more: what they said last is over.
        inside = [await begun(caller) for _ in range(2)]
        refused = await caller.refused(*upload(b""))
        assert (refused.code, refused.details[0].type_url.endswith("RetryInfo")) == (
            code_pb2.RESOURCE_EXHAUSTED,
            True,
        )
        lines.reported(1, segmented(1, 10.0, segmentation=0))
        inside.append(await begun(caller))
        for call in inside:
            call.cancel()


async def begun(caller) -> grpc.aio.StreamStreamCall:
    """A recording that has been let in, and does not end."""
    call = caller.stub.Diarize()
    await call.write(next(iter(upload(b""))))
    async with asyncio.timeout(5):
        assert (await call.read()).HasField("started")
    return call
