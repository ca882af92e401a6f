"""Who is let in, against a real server with the real interceptors."""

import asyncio
import itertools

import pytest
from google.rpc import code_pb2, error_details_pb2
from prometheus_client import CollectorRegistry

from serving import errors
from serving.admission import AdmissionInterceptor, Line
from serving.load import Rates
from serving.load_metrics import export_load
from support.fake_service import status_of
from support.handlers import UPLOADS, call, quiet, raising, served


class Room:
    """Uploads that stay until they are let go."""

    def __init__(self):
        self.entered = asyncio.Semaphore(0)
        self.release = asyncio.Event()

    async def work(self, context):
        self.entered.release()
        await self.release.wait()


@pytest.mark.parametrize("style", UPLOADS)
async def test_an_upload_beyond_the_last_place_is_refused_with_a_time_to_come_again(style):
    room, admission = Room(), AdmissionInterceptor(max_streams=2)
    admission.open()
    async with served(room.work, admission) as channel:
        inside = [asyncio.create_task(call(channel, style)) for _ in range(2)]
        for _ in inside:
            await room.entered.acquire()
        status = await status_of(call(channel, style))
        room.release.set()
        assert await asyncio.gather(*inside) == [b"done", b"done"]
        await admission.wait_empty()
        assert await call(channel, style) == b"done"

    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() > 0


async def test_calls_without_upload_take_no_place():
    room, admission = Room(), AdmissionInterceptor(max_streams=1)
    admission.open()
    async with served(room.work, admission) as channel:
        inside = [asyncio.create_task(call(channel, "UnaryUnary")) for _ in range(2)]
        inside.append(asyncio.create_task(call(channel, "StreamUnary")))
        for _ in inside:
            await room.entered.acquire()
        assert admission.in_flight == 1
        room.release.set()
        await asyncio.gather(*inside)


async def test_a_failed_or_cancelled_upload_gives_its_place_back():
    admission = AdmissionInterceptor(max_streams=1)
    admission.open()
    async with served(raising(errors.InvalidAudio("no sound")), admission) as channel:
        for _ in range(3):
            assert (await status_of(call(channel, "StreamStream"))).message == "no sound"
    room = Room()
    async with served(room.work, admission) as channel:
        calling = asyncio.create_task(call(channel, "StreamStream"))
        await room.entered.acquire()
        calling.cancel()
        await asyncio.wait_for(admission.wait_empty(), 5)
    assert admission.in_flight == 0


@pytest.mark.parametrize("style", ["UnaryUnary", "StreamStream"])
async def test_nothing_is_let_in_before_the_models_are_loaded(style):
    admission = AdmissionInterceptor(max_streams=1)
    async with served(quiet, admission) as channel:
        status = await status_of(call(channel, style))
        admission.open()
        assert await call(channel, style) == b"done"

    assert status.code == code_pb2.UNAVAILABLE
    assert "loading" in status.message


def line_of(seconds):
    return Line(lambda: seconds, longest=30.0)


async def refusal(admission):
    admission.open()
    async with served(quiet, admission) as channel:
        return await refusal_of(channel)


async def refusal_of(channel):
    """Code and seconds to come again after, of an upload that is refused."""
    status = await status_of(call(channel, "StreamStream"))
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    return status.code, retry.retry_delay.ToMilliseconds() / 1000


@pytest.mark.parametrize(("waiting", "again_in"), [(30.5, 1.0), (50.0, 20.0), (3600.0, 60.0)])
async def test_where_too_much_audio_waits_a_recording_is_told_when_the_line_will_be_short_enough(
    waiting, again_in
):
    refused = await refusal(AdmissionInterceptor(4, line_of(waiting)))
    assert refused == (code_pb2.RESOURCE_EXHAUSTED, again_in)


@pytest.mark.parametrize("waiting", [0.0, 30.0])
async def test_up_to_the_longest_wait_places_alone_decide(waiting):
    admission = AdmissionInterceptor(4, line_of(waiting))
    admission.open()
    async with served(quiet, admission) as channel:
        assert await call(channel, "StreamStream") == b"done"


async def test_without_a_place_a_caller_is_told_when_one_should_be_free():
    clock = itertools.count(step=10)  # seconds pass whenever somebody looks
    room, admission = Room(), AdmissionInterceptor(max_streams=1, rates=Rates(lambda: next(clock)))
    admission.open()
    async with served(room.work, admission) as channel:
        room.release.set()
        await call(channel, "StreamStream")
        room.release.clear()
        inside = asyncio.create_task(call(channel, "StreamStream"))
        await room.entered.acquire()
        await room.entered.acquire()
        _, again_in = await refusal_of(channel)
        room.release.set()
        await inside
    assert again_in == 10.0


async def test_the_load_is_that_of_the_scarcer_of_places_and_time():
    room, admission = Room(), AdmissionInterceptor(4, line_of(12.0))
    admission.open()
    assert admission.load().utilization == pytest.approx(0.4)
    async with served(room.work, admission) as channel:
        inside = [asyncio.create_task(call(channel, "StreamStream")) for _ in range(3)]
        for _ in inside:
            await room.entered.acquire()
        assert admission.load().utilization == 0.75
        room.release.set()
        await asyncio.gather(*inside)
        await admission.wait_empty()
    assert admission.load().ended_per_second == pytest.approx(3 / 60)
    assert admission.load().failed_per_second == 0.0


async def test_what_a_service_is_scaled_by_is_told():
    registry, room = CollectorRegistry(), Room()
    admission = AdmissionInterceptor(2, line_of(9.0))
    export_load(admission, registry)
    admission.open()
    async with served(room.work, admission) as channel:
        inside = asyncio.create_task(call(channel, "StreamStream"))
        await room.entered.acquire()
        told = {
            name: registry.get_sample_value(f"duoscribe_{name}")
            for name in ("streams", "wait_seconds", "load_ratio")
        }
        room.release.set()
        await inside
    assert told == {"streams": 1.0, "wait_seconds": 9.0, "load_ratio": 0.5}
