"""A decoder may be in the hands of whoever sent the recording: what it says is not believed to be well formed."""

import asyncio
import json
import os
import signal
import socket

import pytest

from serving.audio.decoder import Decoder
from serving.audio.fork_server import Child
from serving.audio.recording import open_recording
from serving.decoding import messages
from serving.decoding.leash import tell
from serving.decoding.messages import DecoderBug, Kind
from serving.errors import InvalidAudio, RecordingTooLong, Unavailable
from speech.audio.v1 import audio_pb2
from support import audio

INFO = messages.encode(Kind.INFO, audio_pb2.RecordingInfo(container="wav").SerializeToString())


class FakeDecoder(Decoder):
    """Says what it is told to say, and then ends, with a status or without."""

    def __init__(self, *said: bytes, status: int | None = None) -> None:
        super().__init__()
        self._said = said
        self._status = status

    async def fork(self) -> Child:
        (talk, service), (leash, held) = socket.socketpair(), socket.socketpair()
        talk.setblocking(False)
        leash.setblocking(False)
        with service, held:
            for message in self._said:
                service.sendall(message)
            if self._status is not None:
                tell(held, self._status)
        return Child(os.getpid(), talk, leash)


async def heard(*said, **others):
    samples = 0
    async with (
        asyncio.timeout(10),
        open_recording(
            audio.CONTAINER,
            audio.in_chunks(b"RIFF"),
            decoder=FakeDecoder(*said, **others),
            bounds=audio.bounds(max_seconds=3),
        ) as recording,
    ):
        async for block in recording.blocks():
            samples += len(block)
    return samples


def failure(**fields):
    return messages.encode(Kind.FAILURE, json.dumps(fields).encode())


async def test_what_is_in_order():
    block = messages.encode(Kind.BLOCK, bytes(32_000))
    assert await heard(INFO, block, block, messages.encode(Kind.DONE)) == 32_000


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\0\0\0\0",
        bytes([Kind.BLOCK]) + b"\xff\xff\xff\xff",
        messages.encode(Kind.FAILURE, b"no JSON"),
        messages.encode(Kind.FAILURE, b"\xff\xfe"),
        failure(kind="InvalidAudio"),
        failure(kind="InvalidAudio", message=7, field=None),
        failure(kind="InvalidAudio", message="", field=[]),
    ],
)
async def test_nonsense_is_the_recordings_fault(said):
    with pytest.raises(InvalidAudio, match="breaks the decoder"):
        await heard(INFO, said)


async def test_errors_are_of_the_kinds_that_a_recording_can_fail_with():
    with pytest.raises(RecordingTooLong, match="too long"):
        await heard(INFO, failure(kind="RecordingTooLong", message="too long", field="audio"))
    with pytest.raises(DecoderBug):
        await heard(INFO, failure(kind="SystemExit", message="", field=None))


async def test_sound_before_what_the_recording_is():
    with pytest.raises(DecoderBug):
        await heard(messages.encode(Kind.BLOCK, bytes(2)))


async def test_more_sound_than_the_service_takes():
    block = messages.encode(Kind.BLOCK, bytes(32_000))
    with pytest.raises(RecordingTooLong):
        await heard(INFO, *[block] * 4)


async def test_an_end_in_the_middle_of_a_message():
    with pytest.raises(InvalidAudio, match="breaks the decoder"):
        await heard(INFO, b"\x02\0\0", status=int(signal.SIGSEGV))


async def test_an_end_that_nobody_tells_of():
    with pytest.raises(Unavailable, match="lost"):
        await heard(INFO)
