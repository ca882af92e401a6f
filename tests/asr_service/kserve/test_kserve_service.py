"""What the protocol tells of the server and its model, with and without it."""

import asyncio
import sys
import threading
from dataclasses import replace

import grpc
import pytest
import structlog
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import aio, service_pb2, service_pb2_grpc

from asr_service.engines.base import Recognition, Speech
from asr_service.loading import LoadedModels
from support.fake_service import status_of, stream_of
from support.kserve import batch, floats, held, kserve_door, refusal, tensor
from support.recognition import INFO, FakeEngine, asr_config, asr_door, loaded, measured_words, speech

TALK = floats(speech((0.5, 2.0)))
NAME = "inference.GRPCInferenceService"


async def test_metadata_and_configuration_describe_the_same_tensors() -> None:
    config = asr_config(max_queue_delay_seconds=0.25)
    async with kserve_door(FakeEngine(info=replace(INFO, max_batch=16)), config) as kserve:
        metadata = await kserve.client.get_model_metadata("fake")
        model = (await kserve.client.get_model_config("fake")).config
        server = await kserve.client.get_server_metadata()
    for told, configured in ((metadata.inputs, model.input), (metadata.outputs, model.output)):
        assert [each.name for each in told] == [each.name for each in configured]
        assert [list(each.shape) for each in told] == [[-1, *each.dims] for each in configured]
    assert [(each.name, each.datatype) for each in metadata.inputs] == [
        ("audio_signal", "FP32"),
        ("audio_lengths", "INT64"),
    ]
    assert [each.optional for each in model.input] == [False, True]
    assert list(model.dynamic_batching.preferred_batch_size) == [16]
    assert model.dynamic_batching.max_queue_delay_microseconds == 250_000
    assert model.parameters["word_timing"].string_value == "measured"
    assert server.name == "duoscribe"


async def test_statistics_count_the_batches_that_the_engine_saw() -> None:
    engine, gate = held(max_batch=4)
    async with kserve_door(engine, asr_config(backlog=8)) as kserve:
        first = asyncio.create_task(kserve.infer(TALK))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        rows = asyncio.create_task(kserve.infer(batch(*[TALK] * 5)))
        await kserve.door.queued(5)
        gate.set()
        await asyncio.gather(first, rows)
        native = await kserve.door.recognize(speech((0.5, 2.0)))
        (told,) = (await kserve.client.get_inference_statistics("fake")).model_stats
    assert native.words
    assert [len(each) for each in engine.batches] == [1, 4, 1, 1]
    assert {each.batch_size: each.compute_infer.count for each in told.batch_stats} == {1: 3, 4: 1}
    assert (told.inference_count, told.execution_count) == (7, 4)
    stats = told.inference_stats
    assert (stats.success.count, stats.fail.count, stats.queue.count, stats.compute_infer.count) == (
        7,
        0,
        7,
        7,
    )
    assert stats.success.ns == pytest.approx(stats.queue.ns + stats.compute_infer.ns, abs=10)
    assert told.last_inference > 1_000_000_000_000


async def test_statistics_count_what_the_engine_failed_at() -> None:
    def picky(heard: Speech) -> Recognition:
        if abs(heard.samples).max() > 0.7:
            raise ArithmeticError("too loud")
        return measured_words(heard)

    loud = floats(speech((0.5, 2.0), loudness=0.8))
    # The development log would print every local variable, tensors among them.
    with structlog.testing.capture_logs():
        async with kserve_door(FakeEngine(picky)) as kserve:
            assert (await refusal(kserve.infer(loud)))[0] == "INTERNAL"
            await kserve.infer(TALK)
            (told,) = (await kserve.client.get_inference_statistics()).model_stats
    assert (told.inference_stats.fail.count, told.inference_stats.success.count) == (1, 1)
    assert (told.name, told.inference_count, told.execution_count) == ("fake", 1, 1)


async def test_a_server_that_is_loading_is_alive_and_not_ready() -> None:
    may_load = threading.Event()

    def load() -> LoadedModels:
        may_load.wait(10)
        return loaded(FakeEngine())

    async with (
        asr_door(load=load, wait=False) as door,
        aio.InferenceServerClient(door.server.address) as client,
    ):
        assert await client.is_server_live()
        assert not await client.is_server_ready()
        assert not await client.is_model_ready("fake")
        assert (await refusal(client.infer("fake", [tensor("audio_signal", TALK)])))[0] == "UNAVAILABLE"
        may_load.set()
        await door.server.wait_serving()
        assert await client.is_server_ready()
        assert await client.is_model_ready("fake")
        assert not await client.is_model_ready("fake", "2")
        assert not await client.is_model_ready("another")


async def test_a_server_that_drains_is_not_ready_and_finishes_what_it_has() -> None:
    engine, gate = held()
    async with kserve_door(engine) as kserve:
        taken = asyncio.create_task(kserve.texts(TALK))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        stopping = asyncio.create_task(kserve.door.server.stop())
        async with asyncio.timeout(5):
            while await kserve.client.is_server_ready():
                pass
        assert (await refusal(kserve.infer(TALK)))[0] == "UNAVAILABLE"
        gate.set()
        assert await taken == ["w50 w50"]
        await stopping


async def test_health_and_reflection_know_it() -> None:
    async with kserve_door() as kserve:
        health = health_pb2_grpc.HealthStub(kserve.door.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=NAME))
        reflection = reflection_pb2_grpc.ServerReflectionStub(kserve.door.channel)
        asked = stream_of([reflection_pb2.ServerReflectionRequest(list_services="")])
        told = [each async for each in reflection.ServerReflectionInfo(asked)]
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert NAME in [service.name for service in told[0].list_services_response.service]


async def test_calls_are_counted_by_what_became_of_them() -> None:
    async with kserve_door() as kserve:
        await kserve.infer(TALK)
        await refusal(kserve.infer(TALK, model_name="x"))
        codes = {
            code: kserve.door.registry.get_sample_value(
                "grpc_server_handled_total",
                {
                    "grpc_type": "unary",
                    "grpc_service": NAME,
                    "grpc_method": "ModelInfer",
                    "grpc_code": code,
                },
            )
            for code in ("OK", "NOT_FOUND")
        }
        assert kserve.door.metric("duoscribe_asr_real_time_factor_count") == 1
    assert codes == {"OK": 1, "NOT_FOUND": 1}


async def test_without_its_extra_the_service_does_not_speak_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    async with asr_door() as door:
        assert (await door.recognize(speech((0.5, 2.0)))).words
        stub = service_pb2_grpc.GRPCInferenceServiceStub(door.channel)
        status = await status_of(stub.ServerLive(service_pb2.ServerLiveRequest()))
        health = health_pb2_grpc.HealthStub(door.channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health.Check(health_pb2.HealthCheckRequest(service=NAME))
    assert status.code == code_pb2.UNIMPLEMENTED
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
