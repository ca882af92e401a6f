import asyncio
from contextlib import aclosing

import grpc
import pytest
from google.rpc import code_pb2

from serving.calls import response, responses
from serving.errors import RecordingTooLong
from speech.asr.v1 import asr_pb2, asr_pb2_grpc
from support.fake_service import FakeService, Gate, audio, config, limits, opened, status_of, stream_of

CHUNK_BYTES = 64 * 1024


async def refuse(upload):
    raise RecordingTooLong("over 4 h")


async def endless():
    yield config()
    while True:
        yield audio(bytes(CHUNK_BYTES))


async def all_of(call):
    return [answer async for answer in responses(call)]


async def test_the_status_of_a_refused_upload_is_the_servers_however_much_is_still_written():
    async with opened(FakeService(limits(), read=refuse)) as door:
        statuses = [await status_of(all_of(door.stub.Recognize(endless()))) for _ in range(30)]

    assert {(status.code, status.message) for status in statuses} == {(code_pb2.OUT_OF_RANGE, "over 4 h")}


async def test_the_same_for_a_call_with_one_response():
    async def refuse_bytes(request, context):
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "over 4 h")

    handlers = {"Upload": grpc.stream_unary_rpc_method_handler(refuse_bytes)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Uploads", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        upload = channel.stream_unary("/test.Uploads/Upload")
        statuses = [
            await status_of(response(upload(stream_of([bytes(CHUNK_BYTES)] * 64)))) for _ in range(30)
        ]
    await server.stop(None)

    assert {(status.code, status.message) for status in statuses} == {(code_pb2.OUT_OF_RANGE, "over 4 h")}


@pytest.mark.parametrize("answered", [False, True])
async def test_a_reader_that_is_cancelled_ends_the_call_at_the_server(answered):
    gate = Gate()
    async with opened(FakeService(limits(), read=gate.read)) as door:
        first = asyncio.Event()

        async def listen():
            async for _ in responses(door.stub.Recognize(endless())):
                first.set()

        listening = asyncio.create_task(listen())
        await (first if answered else gate.entered).wait()
        listening.cancel()
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"


async def test_a_reader_that_leaves_early_ends_the_call_at_the_server():
    gate = Gate()
    async with opened(FakeService(limits(), read=gate.read)) as door:
        async with aclosing(responses(door.stub.Recognize(endless()))) as answers:
            assert (await anext(answers)).HasField("started")
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"


async def test_a_server_that_is_not_there_is_unavailable():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        status = await status_of(response(channel.stream_unary("/test.Uploads/Upload")(stream_of([b""]))))

    assert status.code == code_pb2.UNAVAILABLE


async def test_a_response_that_cannot_be_decoded_is_an_error_of_the_call():
    async def garble(request, context):
        await context.write(b"\xff")

    async def garble_one(request, context):
        return b"\xff"

    name, asked = "speech.asr.v1.SpeechRecognition", asr_pb2.DescribeRecognitionRequest
    handlers = {
        "Recognize": grpc.stream_stream_rpc_method_handler(garble),
        "Whole": grpc.stream_unary_rpc_method_handler(garble_one),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = asr_pb2_grpc.SpeechRecognitionStub(channel)
        whole = channel.stream_unary(f"/{name}/Whole", response_deserializer=asked.FromString)
        statuses = [
            await status_of(all_of(stub.Recognize(stream_of([])))),
            await status_of(response(whole(stream_of([])))),
        ]
    await server.stop(None)
    assert [status.code for status in statuses] == [code_pb2.INTERNAL] * 2
