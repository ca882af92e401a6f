"""ModelStreamInfer, by both of Triton's clients."""

import asyncio
import queue
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog

from support.kserve import KServeDoor, blocking_client, floats, kserve_door, tensor, texts
from support.recognition import FakeEngine, asr_config, speech
from support.waiting import until

LOUD, QUIET = (floats(speech((0.5, 2.0), loudness=loudness)) for loudness in (0.8, 0.2))


def asking(audio: Any, request_id: str, **others: Any) -> dict[str, Any]:
    inputs = [tensor("audio_signal", audio)]
    return {"model_name": "fake", "inputs": inputs, "request_id": request_id, **others}


async def each(*requests: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for request in requests:
        yield request


@pytest.fixture
async def kserve() -> AsyncIterator[KServeDoor]:
    async with kserve_door() as opened:
        yield opened


async def test_answers_come_in_the_order_of_the_requests(kserve: KServeDoor) -> None:
    requests = each(asking(LOUD, "a"), asking(QUIET, "b"), asking(LOUD, "c"))
    answers = [result async for result, error in kserve.client.stream_infer(requests) if error is None]
    assert [answer.get_response().id for answer in answers] == ["a", "b", "c"]
    assert [texts(answer) for answer in answers] == [["w80 w80"], ["w20 w20"], ["w80 w80"]]
    assert all(answer.get_response().parameters["triton_final_response"].bool_param for answer in answers)


async def test_a_request_that_fails_does_not_end_the_stream(kserve: KServeDoor) -> None:
    requests = each(
        asking(LOUD, "a", sequence_id=3), asking(LOUD, "b") | {"model_name": "x"}, asking(QUIET, "c")
    )
    (_, first), (_, second), (third, none) = [answer async for answer in kserve.client.stream_infer(requests)]
    assert "parameters.sequence_" in first.message()
    assert "model_name is 'x'" in second.message()
    assert (texts(third), none) == (["w20 w20"], None)


async def test_a_bug_ends_the_stream_and_says_nothing_of_the_inside() -> None:
    def broken(_: object) -> Any:
        raise ArithmeticError("secret")

    # The development log would print every local variable, tensors among them.
    with structlog.testing.capture_logs():
        async with kserve_door(FakeEngine(broken)) as kserve:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await anext(aiter(kserve.client.stream_infer(each(asking(LOUD, "a")))))
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INTERNAL, "internal error")


async def test_a_stream_has_one_place_and_is_let_go_where_nothing_comes() -> None:
    async def silent() -> AsyncIterator[dict[str, Any]]:
        yield asking(LOUD, "a")
        await asyncio.Event().wait()

    async with kserve_door(config=asr_config(max_idle_seconds=0.5)) as kserve:
        answers = aiter(kserve.client.stream_infer(silent()))
        assert texts((await anext(answers))[0]) == ["w80 w80"]
        assert kserve.door.metric("duoscribe_streams") == 1
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(answers)
        await until(lambda: kserve.door.metric("duoscribe_streams") == 0)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_that_is_cancelled_gives_its_place_back(kserve: KServeDoor) -> None:
    async def silent() -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}

    answers = kserve.client.stream_infer(silent())
    await until(lambda: kserve.door.metric("duoscribe_streams") == 1)
    answers.cancel()
    await until(lambda: kserve.door.metric("duoscribe_streams") == 0)


async def test_the_blocking_client_streams_too(kserve: KServeDoor) -> None:
    def stream() -> list[Any]:
        got: queue.Queue[Any] = queue.Queue()
        with blocking_client(kserve.door.server.address) as client:
            client.start_stream(lambda result, error: got.put(error or texts(result)))
            for audio in (LOUD, QUIET):
                client.async_stream_infer(
                    "fake", [tensor("audio_signal", audio)], enable_empty_final_response=True
                )
            answers = [got.get(timeout=10) for _ in range(2)]
            client.stop_stream()
        return answers

    assert await asyncio.to_thread(stream) == [["w80 w80"], ["w20 w20"]]
