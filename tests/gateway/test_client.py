import asyncio
import os

import pytest
from grpc import StatusCode

from gateway.client import (
    Transcript,
    TranscriptionClient,
    TranscriptionError,
    configuration,
    read_file,
    read_stream,
)
from speech.gateway.v1 import gateway_pb2


def segment(segment_id: str, start: int, text: str, **fields) -> gateway_pb2.TranscribeResponse:
    found = gateway_pb2.Segment(segment_id=segment_id, text=text, **fields)
    found.span.start.seconds = start
    return gateway_pb2.TranscribeResponse(segment=found)


def test_a_transcript_keeps_what_was_not_superseded_in_order():
    transcript = Transcript()
    for event in (
        segment("1", 0, "a b"),
        segment("2", 5, "c"),
        segment("2", 5, "c", revision=1, speaker="B"),
        segment("4", 2, "b", supersedes=["1"], speaker="B"),
        segment("3", 0, "a", supersedes=["1"], speaker="A", text_final=True, speaker_final=True),
    ):
        transcript.apply(event)
    assert [(found.text, found.speaker) for found in transcript.segments] == [
        ("a", "A"),
        ("b", "B"),
        ("c", "B"),
    ]
    assert [found.text for found in transcript.final_segments] == ["a"]
    assert (transcript.text, transcript.speakers) == ("a b c", ["A", "B"])


def test_a_reply_reads_like_a_replayed_transcript():
    reply = gateway_pb2.TranscribeFileResponse(
        request_id="x",
        segments=[segment("1", 0, "a").segment],
        completed=gateway_pb2.TranscriptionCompleted(speakers=["A"]),
    )
    transcript = Transcript.from_response(reply)
    assert (transcript.started.request_id, transcript.text, transcript.speakers) == ("x", "a", ["A"])


def test_events_of_a_newer_gateway_are_passed_over():
    transcript = Transcript()
    transcript.apply(gateway_pb2.TranscribeResponse())
    assert transcript.segments == []


async def test_a_file_is_read_in_chunks(tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(bytes(range(250)))
    chunks = [chunk async for chunk in read_file(path, chunk_bytes=100)]
    assert b"".join(chunks) == path.read_bytes()
    assert max(map(len, chunks)) == 100


async def test_what_comes_through_a_pipe_is_handed_on_at_once():
    receiving, sending = os.pipe()
    with os.fdopen(receiving, "rb") as source, os.fdopen(sending, "wb", buffering=0) as sink:
        chunks = read_stream(source, chunk_bytes=1000)
        sink.write(b"first")
        async with asyncio.timeout(5):
            assert await anext(chunks) == b"first"
        sink.write(b"second")
        sink.close()
        assert [chunk async for chunk in chunks] == [b"second"]


async def test_a_gateway_that_is_not_there_is_an_error_of_the_call():
    async with TranscriptionClient("127.0.0.1:1") as client:
        with pytest.raises(TranscriptionError) as caught:
            await client.describe(timeout=5)
        assert caught.value.code == StatusCode.UNAVAILABLE
        with pytest.raises(TranscriptionError):
            await client.transcribe_file(_nothing(), configuration(), timeout=5)


async def _nothing():
    for chunk in ():
        yield chunk
