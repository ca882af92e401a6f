"""The service's end and the worker's end of the pipes, with a real process between them and no models in it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import psutil
import pytest
from google.rpc import code_pb2

from diarization_service.process import WorkerLost, WorkerProcess
from serving.errors import StageFailed, Unavailable
from serving.times import seconds
from speech.diarization.v1.diarization_pb2 import DiarizationConfig, DiarizeResponse, SpeakerHints
from support import diarization_worker
from support.diarization_worker import Deed

COMMAND = (sys.executable, str(Path(diarization_worker.__file__)))

# A process of a service that is killed: it starts a worker, gives it endless work and tells its process id.
SERVICE = """
import asyncio, sys
from diarization_service.process import WorkerProcess
from speech.diarization.v1.diarization_pb2 import DiarizationConfig

async def audio():
    yield bytes([int(sys.argv[1]), 0])

async def main():
    worker = await WorkerProcess.start(*sys.argv[2:])
    async for response in worker.diarize(DiarizationConfig(), audio()):
        print(worker.pid, flush=True)

asyncio.run(main())
"""


def recording(deed: Deed, samples: int = 16_000) -> bytes:
    return np.array([deed, *([0] * (samples - 1))], "<i2").tobytes()


async def pieces(pcm: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def diarize(worker: WorkerProcess, deed: Deed, **speakers: int) -> AsyncGenerator[DiarizeResponse, None]:
    return worker.diarize(DiarizationConfig(speakers=SpeakerHints(**speakers)), pieces(recording(deed)))


async def answer(worker: WorkerProcess, deed: Deed) -> DiarizeResponse:
    """The last response, within 20 s."""
    async with asyncio.timeout(20):
        return [response async for response in diarize(worker, deed)][-1]


async def leave(worker: WorkerProcess, deed: Deed, grace_seconds: float) -> None:
    """Begin, see it work, and give it up."""
    async with aclosing(diarize(worker, deed)) as responses:
        await anext(responses)
    async with asyncio.timeout(20):
        await worker.settle(grace_seconds)


@pytest.fixture
async def worker() -> AsyncIterator[WorkerProcess]:
    started = await WorkerProcess.start(*COMMAND)
    yield started
    await started.close()


async def test_answers_with_progress_turns_and_totals(worker: WorkerProcess) -> None:
    responses = [response async for response in diarize(worker, Deed.ANSWER)]
    assert [response.WhichOneof("message") for response in responses] == ["progress", "turns", "completed"]
    completed = responses[-1].completed
    assert list(completed.speakers) == ["SPEAKER_00", "SPEAKER_01"]
    assert seconds(completed.timing.audio_duration) == 1
    assert seconds(completed.timing.compute_duration) >= 0
    assert worker.usable


async def test_takes_an_hour_of_audio_whole(worker: WorkerProcess) -> None:
    hour = pieces(recording(Deed.ANSWER, 3600 * 16_000))
    responses = [response async for response in worker.diarize(DiarizationConfig(), hour)]
    assert seconds(responses[-1].completed.timing.audio_duration) == 3600


async def test_a_bug_is_told_without_the_inside_and_the_process_goes_on(worker: WorkerProcess) -> None:
    with pytest.raises(StageFailed) as failure:
        await answer(worker, Deed.BUG)
    assert failure.value.status.code == code_pb2.INTERNAL
    assert "secret" not in str(failure.value.status)
    assert (await answer(worker, Deed.ANSWER)).HasField("completed")


@pytest.mark.parametrize("deed", [Deed.CRASH, Deed.LOSE_THE_MACHINE])
async def test_a_process_that_ends_is_said_to_be_lost(worker: WorkerProcess, deed: Deed) -> None:
    with pytest.raises(WorkerLost):
        await answer(worker, deed)
    assert not worker.usable


async def test_a_process_that_is_killed_is_said_to_be_lost(worker: WorkerProcess) -> None:
    responses = diarize(worker, Deed.WORK_FOR_EVER)
    await anext(responses)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await anext(responses)
    with pytest.raises(WorkerLost):
        await answer(worker, Deed.ANSWER)


async def test_a_recording_that_is_left_is_given_up_and_the_next_one_is_taken(worker: WorkerProcess) -> None:
    await leave(worker, Deed.WORK_FOR_EVER, grace_seconds=10)
    assert worker.usable
    assert (await answer(worker, Deed.ANSWER)).HasField("completed")


async def test_a_recording_that_is_left_during_its_upload_is_given_up(worker: WorkerProcess) -> None:
    async def broken_off() -> AsyncIterator[bytes]:
        yield recording(Deed.WORK_FOR_EVER)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await anext(worker.diarize(DiarizationConfig(), broken_off()))
    assert not worker.usable
    await worker.settle(10)
    assert (await answer(worker, Deed.ANSWER)).HasField("completed")


async def test_a_process_that_does_not_obey_is_killed(worker: WorkerProcess) -> None:
    await leave(worker, Deed.HEAR_NOTHING, grace_seconds=0.1)
    assert not worker.usable
    assert not psutil.pid_exists(worker.pid)


async def test_a_worker_that_does_not_come_up_is_said_to_have_its_reason_in_the_log() -> None:
    with pytest.raises(Unavailable, match=r"did not start.*log"):
        await WorkerProcess.start(*COMMAND, "--broken")


@pytest.mark.parametrize("deed", [Deed.WORK_FOR_EVER, Deed.HEAR_NOTHING])
async def test_no_worker_outlives_a_service_that_was_killed(deed: Deed) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, str(int(deed)), *COMMAND, stdout=asyncio.subprocess.PIPE
    )
    if service.stdout is None:
        raise RuntimeError("no pipe")
    pid = int(await service.stdout.readline())
    assert psutil.pid_exists(pid)
    service.kill()
    await service.communicate()
    await until(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    """A zombie has ended, whoever should have noticed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  another process has no asyncio.Event
            await asyncio.sleep(0.02)
