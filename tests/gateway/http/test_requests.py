"""How forms are read while they come, and what is refused, by real connections to a real gateway."""

import asyncio
import json

import openai
import pytest

from support.gateway.fakes import BYTES_PER_SECOND, diarization, recognition
from support.gateway.http import (
    CONTENT_TYPE,
    END,
    MODEL,
    TEXT,
    answering,
    form,
    http_address,
    official,
    part,
    posted,
    posting,
    recording,
    wav,
)
from support.waiting import until

FIRST = ("model", MODEL)


@pytest.fixture
async def door(tmp_path):
    async with answering(tmp_path) as door:
        yield door


def error(answer):
    status, body = answer
    told = json.loads(body)["error"]
    assert set(told) == {"message", "type", "param", "code"}
    return status, told["param"], told["message"]


async def test_audio_goes_on_while_the_form_comes(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    async with answering(tmp_path, asr, diarization()) as door, posting(door) as connection:
        whole, first = wav(30.0), 20 * BYTES_PER_SECOND
        head = part("model", MODEL) + part("file", b"", "talk.wav").removesuffix(b"\r\n")
        await connection.send(head + whole[:first])
        await until(lambda: asr.calls and asr.calls[0].received > 10 * BYTES_PER_SECOND)
        await connection.send(whole[first:] + b"\r\n" + END)
        await connection.end()
        status, body = await connection.answer()
        assert (status, json.loads(body)["usage"]["seconds"]) == (200, 30.0)


async def test_text_comes_while_the_form_still_does(tmp_path):
    asr = recognition((0.5, 1.0, "hello"), (25.0, 26.0, "there"))
    async with answering(tmp_path, asr, diarization()) as door, posting(door) as connection:
        whole, first = wav(30.0), 20 * BYTES_PER_SECOND
        head = part("model", MODEL) + part("stream", "true") + part("file", b"", "talk.wav")
        await connection.send(head.removesuffix(b"\r\n") + whole[:first])
        async with asyncio.timeout(20):
            await connection.reader.readuntil(b'data: {"type":"transcript.text.delta","delta":"hello"}\n\n')
        await connection.send(whole[first:] + b"\r\n" + END)
        await connection.end()
        async with asyncio.timeout(20):
            await connection.reader.readuntil(
                b'data: {"type":"transcript.text.done","text":"hello there"}\n\n'
            )
            await connection.reader.readuntil(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "parts",
    [
        [FIRST, ("language", "en"), ("file", wav(6.0))],
        # As Node's client and curl do by OpenAI's examples.
        [("file", wav(6.0)), FIRST, ("language", "en")],
        [("language", "en"), ("file", wav(6.0)), FIRST],
        [FIRST, ("file", wav(6.0)), ("response_format", "verbose_json")],
    ],
)
async def test_fields_come_in_any_order(door, parts):
    status, body = await posted(door, form(*parts))
    assert (status, json.loads(body)["text"]) == (200, TEXT)


async def test_a_file_that_comes_first_is_not_sent_on_before_the_form_is_whole(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    async with answering(tmp_path, asr, diarization()) as door, posting(door) as connection:
        await connection.send(part("file", wav(2.0), "talk.wav"))
        await until(lambda: door.registry.get_sample_value("duoscribe_streams") == 1)
        await connection.send(part("language", "de") + part("model", MODEL) + END)
        await connection.end()
        assert (await connection.answer())[0] == 200
        assert asr.calls[0].config.language == "de"


@pytest.mark.parametrize(
    ("parts", "param", "said"),
    [
        ([("language", "en")], "language", "language must come before the file"),
        ([("stream", "true")], "stream", "stream must come before the file"),
        ([("response_format", "srt")], "response_format", "response_format must come before the file"),
        ([("prompt", "x")], "prompt", "prompt cannot be honoured"),
        ([("file", b"x")], "file", "more than once"),
    ],
)
async def test_what_comes_too_late_is_refused_by_its_name(door, parts, param, said):
    status, named, message = error(await posted(door, form(FIRST, ("file", wav(1.0)), *parts)))
    assert (status, named) == (400, param)
    assert said in message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (form(FIRST), "needs a file"),
        (b"", "ended before its last boundary"),
        (form(FIRST, ("file", wav(1.0))).removesuffix(END), "ended before its last boundary"),
        (b"{}", "not a well-formed form"),
        (form(*[("stream", "false")] * 101), "more than 100 parts"),
        (END.replace(b"--\r\n", b"\r\nX: y\r\n\r\n\r\n") + END, "has no name"),
        (form(("prompt", "x" * 70_000)), "a field may hold"),
    ],
    ids=["no file", "empty", "cut", "json", "too many parts", "no name", "too long"],
)
async def test_a_form_that_is_not_whole_is_refused(door, body, said):
    status, _, message = error(await posted(door, body))
    assert status == 400
    assert said in message


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "multipart/form-data", f"multipart/form-data; boundary={'x' * 300}", ""],
)
async def test_a_body_that_is_no_form_is_refused(door, content_type):
    answer = await posted(door, form(FIRST, ("file", wav(1.0))), headers=[("Content-Type", content_type)])
    assert error(answer)[0] == 400


async def test_a_form_that_was_cut_is_never_computed_as_if_it_were_whole(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    async with answering(tmp_path, asr, diarization()) as door:
        async with posting(door) as connection:
            await connection.send(part("model", MODEL) + part("file", wav(30.0), "talk.wav"))
            await until(lambda: asr.calls)
        assert await asr.calls[0].ending == "CancelledError"
        await until(lambda: door.registry.get_sample_value("duoscribe_streams") == 0)


async def test_whoever_goes_while_an_answer_is_made_has_it_cancelled(tmp_path):
    asr = recognition((0.5, 1.0, "hello"))
    asr.released.clear()
    async with answering(tmp_path, asr, diarization()) as door, official(door) as client:
        for wanted in ({}, {"stream": True}):
            begun = len(asr.calls)
            call = asyncio.create_task(consumed(client, wanted))
            await until(lambda: len(asr.calls) > begun)  # noqa: B023 - awaited in the same round
            call.cancel()
            assert await asr.calls[-1].ending == "CancelledError"
        await until(lambda: door.registry.get_sample_value("duoscribe_streams") == 0)


async def consumed(client, wanted):
    answer = await client.audio.transcriptions.create(file=recording(), model=MODEL, **wanted)
    return [event async for event in answer] if wanted else answer


async def test_what_is_no_recording_is_a_fault_of_the_file(door):
    for fields in ([FIRST, ("file", b"nothing that sounds")], [("file", b"nothing that sounds"), FIRST]):
        status, param, message = error(await posted(door, form(*fields)))
        assert (status, param) == (400, "file")
        assert "not a recording in a known format" in message


async def test_uploads_have_the_gateways_bounds(tmp_path):
    async with answering(tmp_path, max_upload_bytes=20_000, max_message_bytes=1024) as door:
        for fields in ([FIRST, ("file", wav(2.0))], [("file", wav(2.0)), FIRST]):
            assert error(await posted(door, form(*fields)))[0] == 413
        assert (await posted(door, form(FIRST, ("file", wav(0.5)))))[0] == 200


async def test_who_sends_nothing_loses_its_place(tmp_path):
    async with answering(tmp_path, max_idle_seconds=0.2) as door, posting(door) as connection:
        assert error(await connection.answer())[0] == 408


async def test_a_connection_that_asks_for_nothing_is_closed(tmp_path):
    async with answering(tmp_path, keepalive_seconds=1.0) as door:
        reader, writer = await asyncio.open_connection(*http_address(door).split(":"))
        writer.write(b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: gat")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_paths_and_methods_that_there_are_not(door):
    async with official(door) as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.list()
        assert "there is no GET /v1/models here" in str(caught.value)
        with pytest.raises(openai.APIStatusError) as caught:
            await client.get("/audio/transcriptions", cast_to=object)
        assert caught.value.status_code == 405
        assert caught.value.response.headers["allow"] == "POST"


async def test_a_header_that_metadata_cannot_hold(door):
    headers = [("Content-Type", CONTENT_TYPE), ("Authorization", "Bearer caf\u00e9")]
    status, _, message = error(await posted(door, form(FIRST), headers=headers))
    assert (status, message) == (400, "the header authorization must be printable ASCII")
