"""Backends that answer what the contract does not allow, or less than they were asked for: another replica is called."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import StatusCode

from gateway.client import TranscriptionError
from serving.times import duration
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from support.gateway.deployment import deployed
from support.gateway.fakes import (
    Answer,
    FakeDiarization,
    FakeRecognition,
    diarization,
    early,
    recognition,
    turns_update,
    utterance,
)

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"), (5.2, 8.0, "how are you"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"), (5.1, 8.0, "SPEAKER_00"))
WORDS = "hello there you well hi my friend how are you"

AT_END = float("inf")


def recognised(*, seconds: float, utterances: int = 3) -> asr_pb2.RecognizeResponse:
    timing = audio_pb2.StageTiming(audio_duration=duration(seconds))
    return asr_pb2.RecognizeResponse(
        completed=asr_pb2.RecognitionCompleted(utterances=utterances, timing=timing)
    )


def diarized(seconds: float) -> diarization_pb2.DiarizeResponse:
    timing = audio_pb2.StageTiming(audio_duration=duration(seconds))
    return diarization_pb2.DiarizeResponse(completed=diarization_pb2.DiarizationCompleted(timing=timing))


def skips_an_utterance(asr: FakeRecognition) -> None:
    del asr.script[3:5]


def says_an_utterance_twice(asr: FakeRecognition) -> None:
    asr.script.insert(2, asr.script[1])


def loses_the_last_utterance(asr: FakeRecognition) -> None:
    del asr.script[-3:-1]


def ends_words_before_they_begin(asr: FakeRecognition) -> None:
    asr.script[1] = Answer(2.5, utterance(0, 2.5, 0.5, "hello there you"))


def heard_half_of_it(asr: FakeRecognition) -> None:
    asr.script[-1] = Answer(AT_END, recognised(seconds=5.0))


RECOGNITIONS = [
    skips_an_utterance,
    says_an_utterance_twice,
    loses_the_last_utterance,
    ends_words_before_they_begin,
    heard_half_of_it,
]


def goes_back_with_what_is_final(diarizer: FakeDiarization) -> None:
    diarizer.script[1:1] = [
        early(3.0, turns_update(TURNS[:1], horizon=3.0, final=3.0)),
        early(6.0, turns_update([], since=3.0, horizon=6.0, final=2.0)),
    ]


def is_surer_than_it_knows(diarizer: FakeDiarization) -> None:
    diarizer.script.insert(1, early(3.0, turns_update(TURNS[:1], horizon=3.0, final=4.0)))


def ends_turns_before_they_begin(diarizer: FakeDiarization) -> None:
    diarizer.script.insert(1, early(3.0, turns_update([(2.6, 0.4, "SPEAKER_00")], horizon=3.0, final=0.0)))


def has_heard_more_than_there_was(diarizer: FakeDiarization) -> None:
    diarizer.script[-1] = Answer(AT_END, diarized(11.0))


DIARIZATIONS = [
    goes_back_with_what_is_final,
    is_surer_than_it_knows,
    ends_turns_before_they_begin,
    has_heard_more_than_there_was,
]


@pytest.mark.parametrize("garble", RECOGNITIONS, ids=lambda garble: garble.__name__)
async def test_recognition_that_contradicts_itself_is_called_again_elsewhere(tmp_path, garble):
    broken, sound = recognition(*UTTERANCES), recognition(*UTTERANCES)
    garble(broken)
    async with deployed(tmp_path, [broken, sound], diarization(*TURNS)) as door:
        async with asyncio.timeout(20):
            while not broken.calls:
                transcript = await door.transcript()
    assert transcript.text == WORDS
    assert not transcript.completed.partial
    assert transcript.completed.stages[0].attempts == 2


@pytest.mark.parametrize("garble", DIARIZATIONS, ids=lambda garble: garble.__name__)
async def test_diarization_that_contradicts_itself_fails(tmp_path, garble):
    broken = diarization(*TURNS)
    garble(broken)
    async with deployed(tmp_path, recognition(*UTTERANCES), broken, attempts=2) as door:
        with pytest.raises(TranscriptionError, match="speaker diarization failed") as caught:
            await door.transcript()
    assert caught.value.code == StatusCode.INTERNAL
    assert len(broken.calls) == 2


async def unreadable(requests, context):
    await context.write(b"\xff")
    await asyncio.Event().wait()


async def no_http2(reader, writer):
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@asynccontextmanager
async def speaking_another_contract():
    server = grpc.aio.server()
    handlers = {"Recognize": grpc.stream_stream_rpc_method_handler(unreadable)}
    service = grpc.method_handlers_generic_handler("speech.asr.v1.SpeechRecognition", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def speaking_another_protocol():
    async with await asyncio.start_server(no_http2, "127.0.0.1", 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    ("speaking", "code"),
    [
        (speaking_another_contract, StatusCode.INTERNAL),
        (speaking_another_protocol, StatusCode.UNAVAILABLE),
    ],
)
async def test_what_is_no_backend_at_all_fails_the_call(tmp_path, speaking, code):
    async with (
        speaking() as address,
        deployed(tmp_path, recognition(), diarization(), asr=(address,), attempts=2) as door,
    ):
        with pytest.raises(TranscriptionError, match="speech recognition") as caught:
            await door.transcript()
    assert caught.value.code == code
