"""Who is let in, and what becomes of those who leave."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from tritonclient.grpc import aio

from support.certificates import Authority
from support.kserve import batch, blocking_client, floats, held, kserve_door, refusal, tensor, texts
from support.recognition import asr_config, asr_door, speech
from support.waiting import until

TALK = floats(speech((0.5, 2.0)))


async def test_a_request_takes_a_place_as_an_upload_does() -> None:
    engine, gate = held()
    async with kserve_door(engine, asr_config(max_streams=1)) as kserve:
        taken = asyncio.create_task(kserve.texts(TALK))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        code, message = await refusal(kserve.infer(TALK))
        assert await kserve.client.is_model_ready("fake")
        gate.set()
        assert await taken == ["w50 w50"]
    assert (code, "place" in message) == ("RESOURCE_EXHAUSTED", True)


async def test_who_cancels_frees_the_queue_and_the_engine() -> None:
    engine, _ = held(max_batch=2)
    async with kserve_door(engine, asr_config(backlog=8)) as kserve:
        leaving = asyncio.create_task(kserve.infer(batch(*[TALK] * 5)))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        await kserve.door.queued(3)
        leaving.cancel()
        assert await asyncio.to_thread(engine.stopped.acquire, timeout=5)
        await until(lambda: kserve.door.metric("duoscribe_streams") == 0)
        assert kserve.door.metric("duoscribe_asr_queue_utterances") == 0
        assert kserve.door.metric("duoscribe_asr_given_up_recordings_total") == 5


async def test_a_deadline_that_passes_frees_them_too() -> None:
    engine, _ = held()
    async with kserve_door(engine) as kserve:
        code, _ = await refusal(kserve.infer(TALK, client_timeout=2.0))
        await until(lambda: kserve.door.metric("duoscribe_asr_given_up_recordings_total") == 1)
        assert kserve.door.metric("duoscribe_asr_queue_utterances") == 0
    assert code == "DEADLINE_EXCEEDED"


async def test_the_blocking_client_is_served_and_may_cancel() -> None:
    engine, gate = held()

    def leave(address: str) -> str:
        ended: list[Any] = []
        done = threading.Event()

        def callback(result: Any, error: Any) -> None:
            ended.append(error)
            done.set()

        with blocking_client(address) as client:
            call = client.async_infer("fake", [tensor("audio_signal", TALK)], callback)
            engine.started.acquire(timeout=5)
            call.cancel()
            done.wait(5)
        return str(ended[0].status())

    def ask(address: str) -> Any:
        with blocking_client(address) as client:
            return client.infer("fake", [tensor("audio_signal", TALK)]).as_numpy("decoded_texts")

    async with kserve_door(engine) as kserve:
        assert await asyncio.to_thread(leave, kserve.door.server.address) == "StatusCode.CANCELLED"
        assert await asyncio.to_thread(engine.stopped.acquire, timeout=5)
        gate.set()
        assert (await asyncio.to_thread(ask, kserve.door.server.address)).tolist() == [b"w50 w50"]


async def test_callers_without_a_certificate_are_kept_out_where_one_is_asked_for(tmp_path: Path) -> None:
    authority = Authority()
    authority.identity("server").write(tmp_path / "server")
    authority.identity("caller").write(tmp_path / "caller")
    server, caller = tmp_path / "server", tmp_path / "caller"
    config = asr_config(
        tls_certificate=server / "tls.crt", tls_key=server / "tls.key", tls_client_ca=server / "ca.crt"
    )
    trusting = {"ssl": True, "root_certificates": str(caller / "ca.crt")}
    known = {"private_key": str(caller / "tls.key"), "certificate_chain": str(caller / "tls.crt")}
    inputs = [tensor("audio_signal", TALK)]
    async with asr_door(config=config) as door:
        async with aio.InferenceServerClient(door.server.address, **trusting, **known) as client:
            assert texts(await client.infer("fake", inputs)) == ["w50 w50"]
        async with aio.InferenceServerClient(door.server.address, **trusting) as client:
            assert (await refusal(client.infer("fake", inputs)))[0] == "UNAVAILABLE"


async def test_a_full_queue_refuses_a_new_request_and_finishes_those_it_has() -> None:
    engine, gate = held()
    async with kserve_door(engine, asr_config(max_queue=1, backlog=3)) as kserve:
        taken = asyncio.create_task(kserve.texts(batch(*[TALK] * 5)))
        await kserve.door.queued(2)
        code, message = await refusal(kserve.infer(TALK))
        gate.set()
        assert await taken == ["w50 w50"] * 5
    assert (code, "try again later" in message) == ("RESOURCE_EXHAUSTED", True)
