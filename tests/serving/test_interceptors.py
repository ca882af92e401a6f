"""Every kind of handler, in both styles, against a real server with the real interceptors and raw bytes as messages."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from serving import errors
from serving.calls import response, responses
from serving.interceptors import AdmissionInterceptor, ErrorInterceptor
from support.fake_service import status_of, stream_of

STYLES = ["UnaryUnary", "StreamUnary", "UnaryStream", "StreamStream", "UnaryGenerator", "StreamGenerator"]
UPLOADS = [style for style in STYLES if style.startswith("Stream")]


class Kinds:
    """One method of each kind; all do `work` after the first answer, where there can be one."""

    def __init__(self, work):
        self.work = work

    async def unary(self, request, context):
        await self.work(context)
        return b"done"

    async def write(self, request, context):
        await context.write(b"first")
        await self.work(context)
        await context.write(b"done")

    async def generate(self, request, context):
        yield b"first"
        await self.work(context)
        yield b"done"

    def handlers(self):
        return {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.unary),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.write),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.write),
            "UnaryGenerator": grpc.unary_stream_rpc_method_handler(self.generate),
            "StreamGenerator": grpc.stream_stream_rpc_method_handler(self.generate),
        }


async def call(channel, style, **arguments):
    """The last answer."""
    path = f"/test.Kinds/{style}"
    request = stream_of([b"ask"]) if style in UPLOADS else b"ask"
    match style:
        case "UnaryUnary":
            return await channel.unary_unary(path)(request, **arguments)
        case "StreamUnary":
            return await response(channel.stream_unary(path)(request, **arguments))
        case "UnaryStream" | "UnaryGenerator":
            return [answer async for answer in responses(channel.unary_stream(path)(request, **arguments))][
                -1
            ]
        case _:
            return [answer async for answer in responses(channel.stream_stream(path)(request, **arguments))][
                -1
            ]


@contextlib.asynccontextmanager
async def served(work, admission=None):
    interceptors = [ErrorInterceptor(), *([admission] if admission else [])]
    server = grpc.aio.server(interceptors=interceptors)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Kinds", Kinds(work).handlers()),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def raising(error):
    async def work(context):
        raise error

    return work


async def quiet(context): ...


@pytest.mark.parametrize("style", STYLES)
async def test_a_call_that_succeeds_is_left_alone(style):
    async with served(quiet) as channel:
        assert await call(channel, style) == b"done"


@pytest.mark.parametrize("style", STYLES)
async def test_an_error_leaves_with_its_status_and_field(style):
    async with served(raising(errors.InvalidConfig("größer als 0", field="config.x"))) as channel:
        status = await status_of(call(channel, style))

    assert (status.code, status.message) == (code_pb2.INVALID_ARGUMENT, "größer als 0")
    bad_request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad_request)
    assert bad_request.field_violations[0].field == "config.x"


@pytest.mark.parametrize("style", STYLES)
async def test_a_bug_tells_nothing_outside_and_everything_in_the_log(style, log_lines):
    async with served(raising(KeyError("/etc/secret"))) as channel:
        status = await status_of(call(channel, style, metadata=(("x-request-id", "call-7"),)))

    assert (status.code, status.message, len(status.details)) == (code_pb2.INTERNAL, "internal error", 0)
    (line,) = log_lines()
    assert (line["level"], line["request_id"], line["method"]) == ("error", "call-7", f"/test.Kinds/{style}")
    assert "Traceback" in line["exception"]
    assert "/etc/secret" in line["exception"]


async def test_an_error_made_for_callers_is_no_error_in_the_log(log_lines):
    async with served(raising(errors.InvalidAudio("no sound"))) as channel:
        await status_of(call(channel, "StreamStream"))

    (line,) = log_lines()
    assert (line["level"], line["code"], line["reason"]) == ("info", "INVALID_ARGUMENT", "no sound")
    assert "exception" not in line


async def test_an_error_in_a_task_group_is_found(log_lines):
    async def work(context):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(raising(errors.RecordingTooLong("over 4 h"))(context))

    async with served(work) as channel:
        status = await status_of(call(channel, "StreamStream"))

    assert (status.code, status.message) == (code_pb2.OUT_OF_RANGE, "over 4 h")
    assert [line["level"] for line in log_lines()] == ["info"]


async def test_a_bug_beside_an_error_made_for_callers_is_logged_all_the_same(log_lines):
    async with served(
        raising(ExceptionGroup("", [errors.InvalidAudio("no sound"), KeyError("bug")]))
    ) as channel:
        status = await status_of(call(channel, "StreamStream"))

    assert status.message == "no sound"
    assert [line["level"] for line in log_lines()] == ["error"]


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_status_that_the_handler_sent_itself_stays(grouped, log_lines):
    async def work(context):
        if not grouped:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.abort(grpc.StatusCode.NOT_FOUND, "no such thing"))

    async with served(work) as channel:
        status = await status_of(call(channel, "UnaryUnary"))

    assert (status.code, status.message) == (code_pb2.NOT_FOUND, "no such thing")
    assert log_lines() == []


@pytest.mark.parametrize("style", STYLES)
async def test_a_cancelled_call_cancels_its_handler_and_logs_no_failure(style, log_lines):
    entered, ended = asyncio.Event(), asyncio.Event()

    async def work(context):
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise

    async with served(work) as channel:
        calling = asyncio.create_task(call(channel, style))
        await entered.wait()
        calling.cancel()
        await asyncio.wait_for(ended.wait(), 5)

    assert log_lines() == []


async def test_an_error_that_nobody_is_left_to_be_told_makes_no_noise(log_lines):
    entered, ended = asyncio.Event(), asyncio.Event()

    async def work(context):
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise errors.Abandoned("the caller went away") from None

    async with served(work) as channel:
        calling = asyncio.create_task(call(channel, "StreamStream"))
        await entered.wait()
        calling.cancel()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0.05)

    assert [line["event"] for line in log_lines()] == ["call failed"]


async def test_a_method_that_does_not_exist_is_unimplemented():
    async with served(quiet) as channel:
        status = await status_of(channel.unary_unary("/test.Kinds/Nonsense")(b""))

    assert status.code == code_pb2.UNIMPLEMENTED


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
