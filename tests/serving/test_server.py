"""A service's life, seen from outside."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.calls import responses
from serving.errors import ModelUnavailable
from serving.server import running
from support.fake_service import (
    NAME,
    FakeService,
    Gate,
    answers,
    audio,
    config,
    end,
    limits,
    opened,
    status_of,
    stream_of,
)

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def health(door, name=""):
    stub = health_pb2_grpc.HealthStub(door.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status


@contextlib.asynccontextmanager
async def watched(door, name=NAME):
    """What a health watch hears, as it hears it."""
    watch = health_pb2_grpc.HealthStub(door.channel).Watch(health_pb2.HealthCheckRequest(service=name))
    heard = asyncio.Queue()

    async def listen():
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for answer in responses(watch):
                heard.put_nowait(answer.status)
        heard.put_nowait("ended")

    listening = asyncio.create_task(listen())
    yield heard
    listening.cancel()


def upload(door):
    """Start to transcribe three bytes."""
    return asyncio.create_task(door.recognize(config(), audio(b"abc"), end()))


@pytest.mark.parametrize("name", ["", NAME])
async def test_health_is_serving_once_the_models_are_loaded(name):
    loaded = asyncio.Event()
    async with opened(FakeService(limits(), start=loaded.wait), loaded=False) as door:
        assert await health(door, name) == NOT_SERVING
        assert not door.server.serving.is_set()
        loaded.set()
        await asyncio.wait_for(door.server.serving.wait(), 5)
        assert await health(door, name) == SERVING


async def test_health_knows_no_other_services():
    async with opened(FakeService(limits())) as door:
        assert (await status_of(health(door, "speech.Nonsense"))).code == code_pb2.NOT_FOUND


async def test_calls_are_refused_while_the_models_load():
    loaded = asyncio.Event()
    async with opened(FakeService(limits(), start=loaded.wait), loaded=False) as door:
        for call in (door.describe(), door.recognize(config(), end())):
            status = await status_of(call)
            assert (status.code, "loading" in status.message) == (code_pb2.UNAVAILABLE, True)
        loaded.set()
        await door.server.wait_serving()
        assert await door.describe() == "fake"


async def test_a_load_that_fails_is_told_to_who_waits_and_the_service_is_closed():
    async def fail():
        raise ModelUnavailable("whisper-tiny.en is missing; run: duoscribe models pull whisper-tiny.en")

    service = FakeService(limits(), start=fail)
    async with opened(service, loaded=False) as door:
        with pytest.raises(ModelUnavailable):
            await door.server.wait_serving()
        assert await health(door) == NOT_SERVING
    assert service.closed


async def test_reflection_lists_the_services_and_describes_them():
    async with opened(FakeService(limits())) as door:
        stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
        listed, described = [
            answer
            async for answer in stub.ServerReflectionInfo(
                stream_of(
                    [
                        reflection_pb2.ServerReflectionRequest(list_services=""),
                        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
                    ]
                )
            )
        ]

    names = {service.name for service in listed.list_services_response.service}
    assert names == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert described.file_descriptor_response.file_descriptor_proto


async def test_a_drain_tells_health_first_refuses_uploads_and_lets_those_in_flight_finish():
    gate = Gate()
    service = FakeService(limits(), read=gate.read)
    async with opened(service) as door, watched(door) as heard:
        assert await heard.get() == SERVING
        inside = upload(door)
        await gate.entered.wait()
        stopping = asyncio.create_task(door.server.stop())
        assert await asyncio.wait_for(heard.get(), 5) == NOT_SERVING
        assert await health(door) == NOT_SERVING
        refused = await status_of(upload(door))
        assert await door.describe() == "fake"
        assert not service.closed
        gate.released.set()
        _, size = await inside
        await asyncio.wait_for(stopping, 5)

    assert size == 3
    assert (refused.code, "shutting down" in refused.message) == (code_pb2.UNAVAILABLE, True)
    assert service.closed


async def test_uploads_still_in_flight_at_the_deadline_are_cut_and_told_to_go_elsewhere():
    gate = Gate()
    async with opened(FakeService(limits(drain_seconds=0.1), read=gate.read)) as door:
        inside = upload(door)
        await gate.entered.wait()
        await asyncio.wait_for(door.server.stop(), 5)
        status = await status_of(inside)

    assert status.code == code_pb2.UNAVAILABLE
    assert "another replica" in status.message
    assert await gate.ending == "CancelledError"


async def test_an_upload_that_will_not_be_cancelled_cannot_hold_the_end_up():
    entered, released = asyncio.Event(), asyncio.Event()

    async def read_stubbornly(upload):
        entered.set()
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return 0

    async with opened(FakeService(limits(drain_seconds=0.1), read=read_stubbornly)) as door:
        inside = upload(door)
        await entered.wait()
        await asyncio.wait_for(door.server.stop(), 5)
        assert (await status_of(inside)).code == code_pb2.UNAVAILABLE
        released.set()


async def test_an_open_health_watch_does_not_hold_the_end_up():
    async with opened(FakeService(limits(drain_seconds=60))) as door, watched(door) as heard:
        assert await heard.get() == SERVING
        await asyncio.wait_for(door.server.stop(), 5)
        assert [await heard.get(), await heard.get()] == [NOT_SERVING, "ended"]


async def test_leaving_the_context_while_loading_cancels_the_load_and_closes_the_service():
    cancelled = asyncio.Event()

    async def load():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    service = FakeService(limits(), start=load)
    async with opened(service, loaded=False):
        await asyncio.sleep(0)
    assert cancelled.is_set()
    assert service.closed


async def test_a_service_that_fails_to_close_does_not_hide_the_end(log_lines):
    class Broken(FakeService):
        async def close(self):
            raise KeyError("stuck")

    async with opened(Broken(limits())):
        pass

    assert [line["event"] for line in log_lines() if line["level"] == "error"] == [
        "the service did not close well"
    ]


async def test_the_limit_of_recordings_in_flight_is_the_configured_one():
    gate = Gate()
    async with opened(FakeService(limits(max_streams=1), read=gate.read)) as door:
        inside = upload(door)
        await gate.entered.wait()
        status = await status_of(upload(door))
        assert await health(door) == SERVING
        gate.released.set()
        await inside

    assert status.code == code_pb2.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("prefix", ["unix:", "unix://"])
async def test_serves_on_a_unix_socket(tmp_path, prefix):
    address = f"{prefix}{tmp_path}/door.sock"
    async with opened(FakeService(limits(address=address))) as door:
        assert door.server.address == address
        assert (await answers(door.stub.Recognize(stream_of([config(), audio(b"ab"), end()]))))[
            1
        ].completed.words == 2


async def test_an_address_in_use_is_refused():
    async with opened(FakeService(limits())) as door:
        second = FakeService(limits(address=door.server.address))
        with pytest.raises(OSError, match=door.server.address):
            async with running(second, second.config):
                pass
