"""The contract through a real socket; the workers are fakes in this process, or real ones with networks that are not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from diarization_service.metrics import DiarizationMetrics
from diarization_service.pool import WorkerPool
from diarization_service.servicer import DiarizationServicer
from serving.errors import StageFailed, Unavailable
from serving.server import running
from serving.times import seconds
from speech.audio.v1.audio_pb2 import AudioFormat, ContainerFormat
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_WAITING,
    DescribeDiarizationRequest,
    DiarizationCompleted,
    DiarizationProgress,
    DiarizeRequest,
    DiarizeResponse,
    SpeakerVoice,
)
from speech.diarization.v1.diarization_pb2_grpc import add_SpeakerDiarizationServicer_to_server
from support.audio import signal, to_s16, wav
from support.decoder import SharedDecoder
from support.diarization import (
    Caller,
    FakeWorker,
    Script,
    answered,
    chunk,
    config,
    end,
    limits,
    served,
    serving_with,
    upload,
)
from support.waiting import until

ONE_SECOND = to_s16(signal(1.0, 16_000))
CONTAINER = AudioFormat(container=ContainerFormat())


class Endless:
    """Works until it is left, and tells."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, pcm: bytes) -> AsyncGenerator[DiarizeResponse, None]:
        try:
            while True:
                yield DiarizeResponse(progress=DiarizationProgress(fraction=0.1))
                self.begun.set()
                await asyncio.sleep(0.01)
        finally:
            self.left.set()


class Impatient:
    """The servicer with one worker, which repeats itself after a tenth of a second."""

    names = ("speech.diarization.v1.SpeakerDiarization",)

    def __init__(self, script: Script) -> None:
        metrics = DiarizationMetrics(CollectorRegistry())
        self._pool = WorkerPool(lambda _: asyncio.sleep(0, FakeWorker(script)), metrics, recordings=2)
        self._servicer = DiarizationServicer(
            limits(), self._pool, metrics, SharedDecoder(), repeat_interval=0.1
        )

    def register(self, server: grpc.aio.Server) -> None:
        add_SpeakerDiarizationServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        await self._pool.start()

    async def close(self) -> None:
        await self._pool.close()


def violations(status: Status) -> list[str]:
    """Fields that a status blames."""
    fields = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
    return fields


async def test_a_recording_is_answered_in_the_contracts_order() -> None:
    worker = FakeWorker()
    async with served(worker) as caller:
        responses = await caller.all(*upload(ONE_SECOND, request_id="interview 7"))
    kinds = [response.WhichOneof("message") for response in responses]
    assert kinds == ["started", "progress", "progress", "progress", "turns", "completed"]
    started, waiting, received, working, _, completed = responses
    assert started.started.request_id == "interview 7"
    assert [model.name for model in started.started.models] == ["fake-segmentation", "fake-embedding"]
    assert (waiting.progress.step, waiting.progress.fraction) == (DIARIZATION_STEP_WAITING, 0)
    assert seconds(waiting.progress.received) == 0
    assert seconds(received.progress.received) == seconds(working.progress.received) == 1
    wall = seconds(completed.completed.timing.wall_duration)
    assert 0 < wall < 20
    assert completed.completed.timing.real_time_factor == pytest.approx(wall)


@pytest.mark.parametrize("long", [False, True])
async def test_the_worker_gets_every_sample_and_what_it_must_know(long: bool) -> None:
    pcm = to_s16(signal(100.0 if long else 0.3, 16_000))
    worker = FakeWorker()
    async with served(worker) as caller:
        await caller.all(*upload(pcm, request_id="a", minimum=2, maximum=4))
    assert worker.received == [pcm]
    assert worker.configs[0].request_id == "a"
    assert (worker.configs[0].speakers.minimum, worker.configs[0].speakers.maximum) == (2, 4)


async def test_files_are_decoded() -> None:
    worker = FakeWorker()
    async with served(worker) as caller:
        await caller.all(*upload(wav(signal(1.0, 8_000), 8_000), CONTAINER))
    assert len(worker.received[0]) == 2 * 16_000


async def test_one_sample_is_a_recording() -> None:
    worker = FakeWorker()
    async with served(worker) as caller:
        responses = await caller.all(*upload(b"\1\0"))
    assert responses[-1].completed.turns == 2  # bytes


async def test_what_has_been_received_is_told_while_the_upload_runs() -> None:
    async def slowly() -> AsyncGenerator[DiarizeRequest, None]:
        yield config()
        for _ in range(3):
            yield chunk(ONE_SECOND)
            await asyncio.sleep(0.6)
        yield end()

    async with served(FakeWorker()) as caller:
        responses = [response async for response in caller.stub.Diarize(slowly())]
    waiting = [
        seconds(response.progress.received)
        for response in responses
        if response.HasField("progress") and response.progress.step == DIARIZATION_STEP_WAITING
    ]
    assert waiting == sorted(waiting)
    assert waiting[-1] == 3
    assert any(0 < received < 3 for received in waiting)


async def test_who_waits_for_long_hears_that_it_goes_on() -> None:
    """Also while a worker computes that says nothing, and while the caller itself sends nothing."""

    async def slowly(pcm: bytes) -> AsyncGenerator[DiarizeResponse, None]:
        yield DiarizeResponse(progress=DiarizationProgress(fraction=0.4))
        await asyncio.sleep(0.5)
        yield DiarizeResponse(completed=DiarizationCompleted())

    async def late() -> AsyncGenerator[DiarizeRequest, None]:
        yield config()
        yield chunk(ONE_SECOND)
        await asyncio.sleep(0.5)
        yield end()

    async with running(Impatient(slowly), limits()) as server, Caller.of(server.address) as caller:
        await server.wait_serving()
        responses = [response async for response in caller.stub.Diarize(late())]
    assert responses[-1].HasField("completed")
    assert [response.progress.fraction for response in responses].count(0.4) >= 3
    waited = sum(response.progress.step == DIARIZATION_STEP_WAITING for response in responses)
    assert waited >= 4


@pytest.mark.parametrize(
    ("speakers", "field"),
    [
        ({"exact": 0}, "exact"),
        ({"exact": 101}, "exact"),
        ({"exact": 2, "maximum": 3}, "maximum"),
        ({"minimum": 3, "maximum": 2}, "minimum"),
    ],
)
async def test_impossible_hints_are_refused_before_any_audio(speakers: dict[str, int], field: str) -> None:
    async def config_alone() -> AsyncGenerator[DiarizeRequest, None]:
        yield config(**speakers)
        await asyncio.sleep(20)

    async with served(FakeWorker()) as caller:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            async with asyncio.timeout(10):
                await anext(aiter(caller.stub.Diarize(config_alone())))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        status = await caller.refused(config(**speakers))
    assert violations(status) == [f"config.speakers.{field}"]


@pytest.mark.parametrize(
    ("requests", "code", "field"),
    [
        ([chunk(ONE_SECOND)], code_pb2.INVALID_ARGUMENT, "audio"),
        ([config(), chunk(ONE_SECOND)], code_pb2.INVALID_ARGUMENT, "end_of_audio"),
        ([config(), config()], code_pb2.INVALID_ARGUMENT, "config"),
        ([config(AudioFormat()), end()], code_pb2.INVALID_ARGUMENT, "config.audio_format"),
        (upload(b"no sound at all" * 100, CONTAINER), code_pb2.INVALID_ARGUMENT, "audio"),
        (upload(b""), code_pb2.INVALID_ARGUMENT, "audio"),
        (upload(ONE_SECOND * 3), code_pb2.OUT_OF_RANGE, "audio"),
    ],
)
async def test_bad_uploads_are_refused_and_given_up_by_whoever_began_with_them(
    requests: list[DiarizeRequest], code: int, field: str
) -> None:
    worker = FakeWorker()
    async with served(worker, config=limits(max_audio_seconds=2.0)) as caller:
        status = await caller.refused(*requests)
        assert not worker.received
        assert worker.given_up.qsize() == len(worker.configs)
        assert (await caller.all(*upload(ONE_SECOND)))[-1].HasField("completed")
    assert (status.code, violations(status)) == (code, [field])


async def test_a_caller_who_cancels_ends_the_work() -> None:
    endless = Endless()
    worker = FakeWorker(endless)
    async with served(worker) as caller:
        async with aclosing(caller.diarize(*upload(ONE_SECOND))) as responses:
            while not endless.begun.is_set():
                await anext(responses)
        async with asyncio.timeout(5):
            await endless.left.wait()
            await worker.given_up.get()


async def test_a_caller_who_cancels_during_the_upload_ends_it() -> None:
    worker = FakeWorker()
    async with served(worker) as caller:
        async with aclosing(caller.diarize(config(), chunk(ONE_SECOND))) as responses:
            await anext(responses)
            await until(lambda: worker.configs)
        async with asyncio.timeout(5):
            await worker.given_up.get()


async def test_places_are_shared_and_who_finds_none_is_told_when_to_try_again() -> None:
    endless = Endless()
    first, second = FakeWorker(endless), FakeWorker(endless)
    async with served(first, second, config=limits(recordings=2)) as caller, AsyncExitStack() as calls:
        for _ in range(4):
            call = await calls.enter_async_context(aclosing(caller.diarize(*upload(ONE_SECOND))))
            while not (await anext(call)).progress.fraction:
                pass
        assert (len(first.configs), len(second.configs)) == (2, 2)
        status = await caller.refused(*upload(ONE_SECOND))
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    (retry,) = [detail for detail in status.details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    assert retry.ByteSize()


async def test_a_recording_waits_for_the_worker_in_place_of_a_lost_one() -> None:
    lost, replacement = FakeWorker(), FakeWorker()
    spare = iter([lost, replacement])
    may_start = asyncio.Event()
    may_start.set()

    async def spawn(number: int) -> FakeWorker:
        await may_start.wait()
        return next(spare)

    async with serving_with(spawn, limits()) as caller:
        may_start.clear()
        lost.lose()
        async with aclosing(caller.diarize(*upload(ONE_SECOND))) as responses:
            assert (await anext(responses)).HasField("started")
            may_start.set()
            rest = [response async for response in responses]
    assert rest[-1].HasField("completed")
    assert replacement.received == [ONE_SECOND]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("the process ended"), code_pb2.UNAVAILABLE),
        (StageFailed(Status(code=code_pb2.INTERNAL, message="internal error")), code_pb2.INTERNAL),
        (ValueError("a secret of the inside"), code_pb2.INTERNAL),
    ],
)
async def test_a_worker_that_fails_fails_the_call_and_nothing_else(error: Exception, code: int) -> None:
    failing = [True]

    async def once(pcm: bytes) -> AsyncGenerator[DiarizeResponse, None]:
        if failing.pop():
            failing.append(False)
            raise error
        async for answer in answered(pcm):
            yield answer

    async with served(FakeWorker(once)) as caller:
        status = await caller.refused(*upload(ONE_SECOND))
        assert (await caller.all(*upload(ONE_SECOND)))[-1].HasField("completed")
    assert status.code == code
    assert "secret" not in str(status)


async def test_describes_models_engine_and_limits() -> None:
    async with served(FakeWorker(), config=limits(max_audio_seconds=90.0, max_streams=3)) as caller:
        described = await caller.stub.DescribeDiarization(DescribeDiarizationRequest())
    assert [(model.role, model.name, model.engine, model.provider) for model in described.models] == [
        ("segmentation", "fake-segmentation", "fake 1", "cpu"),
        ("embedding", "fake-embedding", "fake 1", "cpu"),
    ]
    assert (described.early_turns, described.mode) == (True, "exact")
    assert seconds(described.limits.max_audio_duration) == 90
    assert described.limits.max_concurrent_streams == 3


async def test_voices_name_the_model_that_made_them() -> None:
    async def voiced(pcm: bytes) -> AsyncGenerator[DiarizeResponse, None]:
        yield DiarizeResponse(completed=DiarizationCompleted(voices=[SpeakerVoice(label="SPEAKER_00")]))

    worker = FakeWorker(voiced)
    async with served(worker) as caller:
        wish = config()
        wish.config.speaker_embeddings = True
        responses = await caller.all(wish, chunk(ONE_SECOND), end())
    assert worker.configs[0].speaker_embeddings
    assert responses[-1].completed.voices[0].model_fingerprint == "f" * 64


async def test_what_is_counted() -> None:
    registry = CollectorRegistry()
    worker = FakeWorker()

    async def spawn(number: int) -> FakeWorker:
        return worker

    async with serving_with(spawn, limits(recordings=1), registry) as caller:
        endless = aclosing(caller.diarize(config(), chunk(ONE_SECOND)))
        async with endless as responses:
            await anext(responses)
            assert registry.get_sample_value("duoscribe_diarization_recordings") == 1
            await caller.refused(*upload(ONE_SECOND))
        await until(lambda: not registry.get_sample_value("duoscribe_diarization_recordings"))
        await caller.all(*upload(ONE_SECOND))
    assert registry.get_sample_value("duoscribe_diarization_refused_recordings_total") == 1
