"""The service's end and the worker's end of the pipes, with a real process between them and no models in it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import numpy as np
import psutil
import pytest
import pytest_asyncio
from google.rpc import code_pb2

from benchmarks.deterministic.written import WrittenNetworks, conversation, spoken
from diarization_service import frames
from diarization_service.answering import most_held
from diarization_service.exchange import Exchange
from diarization_service.frames import Kind
from diarization_service.process import WorkerLost, WorkerProcess
from diarization_service.reports import CLUSTERING, SEGMENTATION, Report
from diarization_service.turns import Known
from serving.errors import StageFailed, Unavailable
from serving.times import seconds
from speech.diarization.v1.diarization_pb2 import DiarizationConfig, DiarizeResponse, SpeakerHints
from support.diarization_worker import COMMAND, ENVIRONMENT, Deed, asking
from support.turns import Applied
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECOND = 2 * 16_000

# A process of a service that is killed: it starts a worker, gives it work and tells its process id.
SERVICE = """
import asyncio, sys
from diarization_service.exchange import Exchange
from diarization_service.frames import Kind
from diarization_service.process import WorkerProcess
from speech.diarization.v1.diarization_pb2 import DiarizationConfig

async def main():
    worker = await WorkerProcess.start(*sys.argv[2:])
    async with worker.recording(DiarizationConfig()) as exchange:
        await exchange.send(bytes.fromhex(sys.argv[1]) * 160_000)
        print(worker.pid, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


async def answered(
    worker: WorkerProcess, audio: bytes, chunk: int = SECOND, config: DiarizationConfig | None = None
) -> list[DiarizeResponse]:
    """All responses to a recording that is sent as fast as it is taken, within 30 s."""
    async with (
        asyncio.timeout(30),
        worker.recording(config or DiarizationConfig()) as exchange,
        asyncio.TaskGroup() as tasks,
    ):

        async def send() -> None:
            for start in range(0, len(audio), chunk):
                await exchange.send(audio[start : start + chunk])
            await exchange.end()

        tasks.create_task(send())
        return [response async for response in exchange.responses()]
    raise AssertionError("unreachable")


async def read_to_the_end(exchange: Exchange) -> None:
    async for _ in exchange.responses():
        pass


async def failure_of(worker: WorkerProcess, audio: bytes) -> Exception:
    with pytest.raises(ExceptionGroup) as caught:
        await answered(worker, audio)
    return caught.value.exceptions[0]


def known(responses: list[DiarizeResponse]) -> Known:
    """What all turns add up to."""
    applied = Applied()
    for response in responses:
        applied.take_any(response)
    return applied.known


class Reports(list[Report]):
    """What a worker says of its work."""

    def of(self, stage: str) -> list[Report]:
        return [report for report in self if report.stage == stage]

    @property
    def waiting(self) -> int:
        """Windows that waited when the last batch was done."""
        return self.of(SEGMENTATION)[-1].queued[SEGMENTATION]


class Office:
    """A worker that is started again only where a test ended it."""

    def __init__(self) -> None:
        self.reports = Reports()
        self._worker: WorkerProcess | None = None

    async def worker(self) -> WorkerProcess:
        self.reports.clear()
        if self._worker is None or not self._worker.usable:
            await self.close()
            self._worker = await WorkerProcess.start(
                *COMMAND, environment=ENVIRONMENT, cancel_grace_seconds=10, report=self.reports.append
            )
        return self._worker

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    await office.close()


@pytest_asyncio.fixture(loop_scope="module")
async def worker(office: Office) -> WorkerProcess:
    return await office.worker()


@pytest.fixture
def reports(office: Office, worker: WorkerProcess) -> Reports:
    return office.reports


async def test_answers_with_progress_turns_and_totals(worker: WorkerProcess) -> None:
    responses = await answered(worker, spoken((6.0, [3]), (3.0, []), (6.0, [1]), (9.0, [3])))
    assert [round(turn.end / 16_000) for turn in known(responses).turns] == [6, 15, 24]
    completed = responses[-1].completed
    assert list(completed.speakers) == ["SPEAKER_00", "SPEAKER_01"]
    assert [round(seconds(voice.speech_duration)) for voice in completed.voices] == [15, 6]
    assert seconds(completed.timing.audio_duration) == 24
    assert 0 < seconds(completed.timing.compute_duration) < 20
    fractions = [response.progress.fraction for response in responses if response.HasField("progress")]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


async def test_hints_and_wishes_reach_the_worker(worker: WorkerProcess) -> None:
    config = DiarizationConfig(speakers=SpeakerHints(exact=1), speaker_embeddings=True)
    (voice,) = (await answered(worker, conversation(2, 20), config=config))[-1].completed.voices
    assert np.linalg.norm(voice.embedding) == pytest.approx(1)


@pytest.mark.parametrize("audio", [b"", bytes(2), bytes(12 * SECOND)])
async def test_silence_is_answered(worker: WorkerProcess, audio: bytes) -> None:
    responses = await answered(worker, audio)
    assert not responses[-1].completed.speakers
    assert known(responses) == Known((), (), len(audio) // 2, len(audio) // 2)


async def test_turns_come_while_audio_arrives(worker: WorkerProcess) -> None:
    """The audio after 20 s is sent only once turns of what is before them have come."""
    audio = conversation(2, 30)
    async with asyncio.timeout(20), worker.recording(DiarizationConfig()) as exchange:
        responses = exchange.responses()
        await exchange.send(audio[: 20 * SECOND])
        early = await anext(response async for response in responses if response.HasField("turns"))
        assert early.turns.turns
        assert seconds(early.turns.final_horizon) == 0
        await exchange.send(audio[20 * SECOND :])
        await exchange.end()
        rest = [response async for response in responses]
    alone = known(await answered(worker, audio))
    assert known([early, *rest]) == alone
    assert alone.final_horizon == 30 * 16_000


async def test_many_at_once_in_any_chunks_are_answered_as_each_alone(
    worker: WorkerProcess, reports: Reports
) -> None:
    audios = [conversation(people, 12.0 + 5 * people, seed=people) for people in (1, 2, 3, 4)]
    alone = [known(await answered(worker, audio)) for audio in audios]
    await until(lambda: len(reports.of(CLUSTERING)) >= len(audios))
    reports.clear()
    chunks = [SECOND // 50, SECOND // 3, 4 * SECOND, 100 * SECOND]
    together = await asyncio.gather(*(answered(worker, audio, chunk) for audio in audios for chunk in chunks))
    assert [known(responses) for responses in together] == [turns for turns in alone for _ in chunks]
    windows = sum(report.items for report in reports.of(SEGMENTATION))
    assert windows == sum(4 * (5 * people + 3) for people in (1, 2, 3, 4))
    assert len(reports.of(SEGMENTATION)) < windows / 2
    await until(lambda: len(reports.of(CLUSTERING)) >= 16)


async def test_short_recordings_need_not_wait_for_a_long_one(worker: WorkerProcess, reports: Reports) -> None:
    long = asyncio.create_task(answered(worker, asking(Deed.BE_SLOW, 200)))
    await until(lambda: bool(reports))
    await asyncio.gather(*(answered(worker, spoken((3.0, [person]))) for person in range(6)))
    assert not long.done()
    long.cancel()
    with suppress(asyncio.CancelledError):
        await long
    await worker.close()


async def test_no_more_audio_is_taken_than_can_be_computed_soon(worker: WorkerProcess) -> None:
    async with worker.recording(DiarizationConfig()) as exchange:
        await exchange.send(asking(Deed.HEAR_NOTHING, 12))
        sending = asyncio.create_task(exchange.send(bytes(600 * SECOND)))
        await until(lambda: bool(exchange.granted))
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert 12 * 16_000 < exchange.sent <= most_held(WrittenNetworks())
        sending.cancel()
    await worker.close()


async def test_minutes_are_taken_whole(worker: WorkerProcess) -> None:
    responses = await answered(worker, conversation(2, 300), chunk=60 * SECOND)
    assert seconds(responses[-1].completed.timing.audio_duration) == 300


async def test_who_does_not_read_does_not_hold_up_the_others(worker: WorkerProcess) -> None:
    audio = conversation(2, 60)
    async with worker.recording(DiarizationConfig()) as exchange:
        await exchange.send(audio)
        await exchange.end()
        assert len((await answered(worker, audio))[-1].completed.speakers) == 2
        assert (await anext(exchange.responses())).HasField("progress")


async def test_a_bug_fails_its_recording_alone_and_tells_nothing_of_the_inside(
    worker: WorkerProcess,
) -> None:
    good, bad = conversation(2, 15), asking(Deed.BUG, 15)
    failing = asyncio.gather(*(failure_of(worker, bad) for _ in range(3)))
    answers = await asyncio.gather(*(answered(worker, good) for _ in range(3)))
    assert all(len(responses[-1].completed.speakers) == 2 for responses in answers)
    for failure in await failing:
        assert isinstance(failure, StageFailed)
        assert failure.status.code == code_pb2.INTERNAL
        assert "secret" not in str(failure.status)
    assert worker.usable


@pytest.mark.parametrize("deed", [Deed.CRASH, Deed.LOSE_THE_MACHINE])
async def test_a_process_that_ends_takes_all_its_recordings_along(worker: WorkerProcess, deed: Deed) -> None:
    async with worker.recording(DiarizationConfig()) as other:
        assert isinstance(await failure_of(worker, asking(deed)), WorkerLost)
        assert not worker.usable
        with pytest.raises(WorkerLost):
            await read_to_the_end(other)
        with pytest.raises(WorkerLost):
            await other.send(bytes(SECOND))
    await worker.ended()


async def test_a_process_that_is_killed_is_said_to_be_lost(worker: WorkerProcess, reports: Reports) -> None:
    failing = asyncio.create_task(failure_of(worker, asking(Deed.BE_SLOW, 100)))
    await until(lambda: bool(reports))
    os.kill(worker.pid, signal.SIGKILL)
    assert isinstance(await failing, WorkerLost)
    with pytest.raises(WorkerLost):
        async with worker.recording(DiarizationConfig()):
            pass


async def test_a_recording_that_is_left_leaves_the_queue_at_once(
    worker: WorkerProcess, reports: Reports
) -> None:
    async with worker.recording(DiarizationConfig()) as left:
        await left.send(asking(Deed.BE_SLOW, 30))
        await until(lambda: bool(reports) and reports.waiting > 0)
    async with asyncio.timeout(5):
        await left.over.wait()
    assert worker.usable
    assert (await answered(worker, spoken((3.0, [0]))))[-1].HasField("completed")
    assert sum(report.items for report in reports.of(SEGMENTATION)) < 20


async def test_a_process_that_does_not_obey_is_killed_and_says_so_to_the_others() -> None:
    worker = await WorkerProcess.start(*COMMAND, environment=ENVIRONMENT, cancel_grace_seconds=0.1)
    async with AsyncExitStack() as others:
        other = await others.enter_async_context(worker.recording(DiarizationConfig()))
        async with worker.recording(DiarizationConfig()) as left:
            await left.send(asking(Deed.HEAR_NOTHING, 11))
            await asyncio.sleep(0.3)
        async with asyncio.timeout(10):
            with pytest.raises(WorkerLost):
                await read_to_the_end(other)
            await worker.ended()
    assert not psutil.pid_exists(worker.pid)
    await worker.close()


async def test_a_process_that_was_stopped_is_killed_and_its_recordings_are_said_to_be_lost() -> None:
    worker = await WorkerProcess.start(*COMMAND, environment=ENVIRONMENT, silence_seconds=0.5)
    os.kill(worker.pid, signal.SIGSTOP)
    assert isinstance(await failure_of(worker, asking(Deed.BE_SLOW)), WorkerLost)
    await worker.ended()
    assert not worker.usable


async def test_a_process_says_that_it_runs_also_while_it_has_nothing_to_do() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, env=ENVIRONMENT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        kinds = [(await frames.read(process.stdout)).kind for _ in range(3)]
    process.kill()
    await process.communicate()
    assert kinds == [Kind.READY, Kind.ALIVE, Kind.ALIVE]


async def test_a_worker_that_does_not_come_up_is_said_to_have_its_reason_in_the_log() -> None:
    with pytest.raises(Unavailable, match=r"did not start.*log"):
        await WorkerProcess.start(*COMMAND, "--broken", environment=ENVIRONMENT)


@pytest.mark.parametrize("sample", [0, Deed.HEAR_NOTHING])
async def test_no_worker_outlives_a_service_that_was_killed(sample: int) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVICE,
        int(sample).to_bytes(2, "little").hex(),
        *COMMAND,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
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
