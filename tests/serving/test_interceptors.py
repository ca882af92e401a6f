"""Every kind of handler, in both styles, against a real server with the real interceptors and raw bytes as messages."""

import asyncio

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from serving import errors
from serving.status import WriteFailed
from support.fake_service import status_of
from support.handlers import STYLES, call, quiet, raising, served


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


async def test_a_message_that_finds_no_caller_any_more_is_no_bug(log_lines):
    async with served(raising(ExceptionGroup("", [WriteFailed("execute_batch")]))) as channel:
        status = await status_of(call(channel, "StreamStream"))

    assert status.code == code_pb2.CANCELLED
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
