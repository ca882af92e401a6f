"""The upload protocol, through a real stub and a real server."""

import asyncio

import pytest
from google.rpc import code_pb2, error_details_pb2

from speech.asr.v1 import asr_pb2
from support.fake_service import (
    FakeService,
    Gate,
    answers,
    audio,
    config,
    end,
    limits,
    opened,
    read_all,
    status_of,
)

EMPTY = asr_pb2.RecognizeRequest()


def field_of(status):
    bad_request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad_request)
    return bad_request.field_violations[0].field


async def test_reads_a_recording_to_its_end_and_passes_over_empty_chunks():
    chunks = []

    async def read(upload):
        chunks.extend([chunk async for chunk in upload.chunks()])
        return 0

    async with opened(FakeService(limits(), read=read)) as door:
        await door.recognize(config(), audio(b"ab"), audio(b""), audio(b"c"), end())

    assert chunks == [b"ab", b"c"]


@pytest.mark.parametrize(
    ("messages", "words", "field"),
    [
        ([], "stream ended without end_of_audio", "end_of_audio"),
        ([config()], "stream ended without end_of_audio", "end_of_audio"),
        ([config(), audio(b"ab")], "stream ended without end_of_audio", "end_of_audio"),
        ([audio(b"ab"), end()], "audio came first", "audio"),
        ([end()], "end_of_audio came first", "end_of_audio"),
        ([EMPTY], "an empty message came first", "message"),
        ([config(), config(), end()], "second time", "config"),
        ([config(), audio(b"ab"), config(), end()], "second time", "config"),
        ([config(), EMPTY, end()], "an empty message", "message"),
        ([config(), end(), audio(b"ab")], "audio came after end_of_audio", "audio"),
        ([config(), end(), end()], "end_of_audio came after end_of_audio", "end_of_audio"),
    ],
)
async def test_messages_out_of_order_are_refused(messages, words, field):
    async with opened(FakeService(limits())) as door:
        status = await status_of(door.recognize(*messages))
        assert await door.recognize(config(), audio(b"abc"), end()) != ()  # unharmed

    assert status.code == code_pb2.INVALID_ARGUMENT
    assert words in status.message
    assert field_of(status) == field


async def test_the_caller_names_the_recording():
    async with opened(FakeService(limits())) as door:
        assert await door.recognize(config("Müller #7"), audio(b"abc"), end()) == ("Müller #7", 3)


async def test_a_recording_without_a_name_gets_the_one_in_the_metadata_or_a_new_one():
    async with opened(FakeService(limits())) as door:
        named, _ = await door.recognize(config(), end(), metadata=(("x-request-id", "from-proxy"),))
        made = {(await door.recognize(config(), end()))[0] for _ in range(2)}

    assert named == "from-proxy"
    assert len(made) == 2
    assert all(len(name) == 32 for name in made)


@pytest.mark.parametrize("name", ["a" * 129, "two\nlines", "\x1b[31m"])
async def test_a_name_that_cannot_stand_in_logs_is_refused(name):
    async with opened(FakeService(limits())) as door:
        status = await status_of(door.recognize(config(name), end()))

    assert status.code == code_pb2.INVALID_ARGUMENT
    assert field_of(status) == "config.request_id"


async def test_a_message_up_to_the_limit_is_taken_and_a_larger_one_refused_with_both_sizes():
    async with opened(FakeService(limits(max_message_bytes=2048))) as door:
        _, size = await door.recognize(config(), audio(bytes(2048)), end())
        status = await status_of(door.recognize(config(), audio(bytes(2049)), end()))

    assert size == 2048
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert "2,049" in status.message
    assert "2,048" in status.message
    assert field_of(status) == "audio"


async def test_a_config_over_the_limit_is_refused_as_such():
    async with opened(FakeService(limits(max_message_bytes=2048))) as door:
        status = await status_of(door.recognize(config("a" * 3000), end()))

    assert field_of(status) == "config"


async def test_five_megabytes_in_one_message_are_refused_with_the_default_limit():
    async with opened(FakeService(limits())) as door:
        status = await status_of(door.recognize(config(), audio(bytes(5_000_000)), end()))

    assert status.code == code_pb2.INVALID_ARGUMENT
    assert "5,000,000" in status.message


async def test_what_the_transport_itself_refuses_ends_the_call_and_nothing_else():
    gate = Gate()
    gate.released.set()
    async with opened(FakeService(limits(max_message_bytes=2048), read=gate.read)) as door:
        status = await status_of(door.recognize(config(), audio(bytes(100_000)), end()))
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"
        assert await door.describe() == "fake"

    assert status.code == code_pb2.RESOURCE_EXHAUSTED


async def held_open(*messages, until):
    for message in messages:
        yield message
    await until.wait()


@pytest.mark.parametrize("messages", [[], [config()], [config(), audio(b"ab")]])
async def test_a_silent_caller_is_ended(messages):
    async with opened(FakeService(limits(max_idle_seconds=0.1))) as door:
        silent = door.stub.Recognize(held_open(*messages, until=asyncio.Event()))
        status = await status_of(answers(silent))

    assert status.code == code_pb2.DEADLINE_EXCEEDED
    assert "0.1 s" in status.message


async def test_time_in_which_the_service_does_not_ask_is_no_silence():
    async def read_slowly(upload):
        await asyncio.sleep(0.3)
        return await read_all(upload)

    async with opened(FakeService(limits(max_idle_seconds=0.1), read=read_slowly)) as door:
        assert (await door.recognize(config(), audio(b"abc"), end()))[1] == 3


async def test_who_leaves_the_stream_open_after_the_end_is_not_waited_for():
    async with opened(FakeService(limits())) as door:
        kept_open = door.stub.Recognize(held_open(config(), audio(b"abc"), end(), until=asyncio.Event()))
        responses = await asyncio.wait_for(answers(kept_open), 5)

    assert responses[-1].completed.words == 3


async def test_a_cancelled_upload_ends_in_cancellation_and_not_as_a_truncated_recording():
    gate = Gate()
    gate.released.set()
    async with opened(FakeService(limits(), read=gate.read)) as door:
        call = door.stub.Recognize(held_open(config(), audio(b"ab"), until=asyncio.Event()))
        await gate.entered.wait()
        call.cancel()
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"


async def test_an_upload_past_its_deadline_ends_in_cancellation():
    gate = Gate()
    gate.released.set()
    async with opened(FakeService(limits(), read=gate.read)) as door:
        late = door.stub.Recognize(held_open(config(), audio(b"ab"), until=asyncio.Event()), timeout=0.2)
        status = await status_of(answers(late))
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"

    assert status.code == code_pb2.DEADLINE_EXCEEDED


async def test_a_caller_that_vanishes_ends_in_cancellation():
    gate = Gate()
    gate.released.set()
    async with opened(FakeService(limits(), read=gate.read)) as door:
        call = door.stub.Recognize(held_open(config(), audio(b"ab"), until=asyncio.Event()))
        await gate.entered.wait()
        await door.channel.close()
        assert await asyncio.wait_for(gate.ending, 5) == "CancelledError"
        assert call.done()
