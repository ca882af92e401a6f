"""The service through its door: real stub, real server, fake engine and ears."""

import asyncio
import io
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator, MutableMapping
from dataclasses import replace
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from asr_service.engines.base import Recognition, Speech
from serving.errors import ModelUnavailable
from serving.status import from_rpc_error
from serving.times import seconds
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from support.recognition import (
    INFO,
    Answer,
    AsrDoor,
    FakeEngine,
    answer_of,
    asr_config,
    asr_door,
    config_message,
    measured_words,
    speech,
    upload,
)

TALK = speech((1.0, 3.0), (0.5, 2.0), (0.5, 2.0), (4.0, 2.0))


@pytest.fixture
async def door() -> AsyncIterator[AsrDoor]:
    async with asr_door() as opened:
        yield opened


@pytest.fixture
def capture() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


async def failure(call: object) -> status_pb2.Status:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return from_rpc_error(raised.value)


async def test_recognises_a_recording(door: AsrDoor) -> None:
    answer = await door.recognize(TALK)
    assert answer.kinds[0] == "started"
    assert answer.kinds[-1] == "completed"
    assert [utterance.index for utterance in answer.utterances] == [0, 1, 2]
    spans = [seconds(bound) for u in answer.utterances for bound in (u.span.start, u.span.end)]
    assert spans == pytest.approx([0.85, 4.15, 4.35, 9.15, 12.85, 15.0], abs=0.1)
    assert answer.utterances[0].text == "w50 w50 w50 w50"


async def test_words_have_times_and_confidence(door: AsrDoor) -> None:
    answer = await door.recognize(TALK)
    bounds = [seconds(bound) for word in answer.words for bound in (word.start, word.end)]
    assert bounds == sorted(bounds)
    first = answer.words[0]
    assert seconds(first.start) == pytest.approx(1.05, abs=0.1)
    assert first.confidence == pytest.approx(0.905, abs=0.001)
    assert first.timing == asr_pb2.WORD_TIMING_MEASURED


async def test_completed_adds_up(door: AsrDoor) -> None:
    answer = await door.recognize(TALK)
    completed = answer.completed
    assert completed.utterances == len(answer.utterances)
    assert completed.words == len(answer.words)
    assert seconds(completed.speech_duration) == pytest.approx(9.0, abs=0.5)
    assert seconds(completed.timing.audio_duration) == 15.0
    wall = seconds(completed.timing.wall_duration)
    assert completed.timing.real_time_factor == pytest.approx(wall / 15.0)


@pytest.mark.parametrize("pcm", [b"\0\0", b"\0\0" * 40_000], ids=["one sample", "silence"])
async def test_silence_completes_without_words(door: AsrDoor, pcm: bytes) -> None:
    answer = await door.recognize(pcm)
    assert answer.kinds == ["started", "completed"]
    assert answer.completed.words == 0
    assert seconds(answer.completed.timing.audio_duration) == len(pcm) / 32_000


@pytest.mark.parametrize("chunk", [331, 4096, len(TALK)])
async def test_the_answer_does_not_depend_on_chunks(door: AsrDoor, chunk: int) -> None:
    def told(answer: Answer) -> list[asr_pb2.Utterance]:
        return answer.utterances

    assert told(await door.recognize(TALK, chunk=chunk)) == told(await door.recognize(TALK))


async def test_utterances_come_while_the_upload_runs(door: AsrDoor) -> None:
    call = door.stub.Recognize(upload(speech((1.0, 3.0), (3.0, 0.0)), end=False))
    async with asyncio.timeout(5):
        async for response in call:
            if response.HasField("utterance"):
                break
    call.cancel()


async def test_progress_never_runs_ahead_of_words() -> None:
    engine = FakeEngine(gate=(gate := threading.Event()))
    async with asr_door(engine) as door:
        call = door.stub.Recognize(upload(TALK))
        async for response in call:
            if response.HasField("progress"):
                assert seconds(response.progress.received) == 15.0
                assert seconds(response.progress.processed) == pytest.approx(0.85, abs=0.1)
                break
        gate.set()
        rest = Answer([response async for response in call])
        assert rest.completed.utterances == 3


async def test_two_speakers_share_the_engine_and_keep_their_words(door: AsrDoor) -> None:
    loud, quiet = await asyncio.gather(
        door.recognize(speech((0.5, 4.0), (3.0, 4.0), loudness=0.8)),
        door.recognize(speech((0.5, 4.0), (3.0, 4.0), loudness=0.2)),
    )
    assert {word.text for word in loud.words} == {"w80"}
    assert {word.text for word in quiet.words} == {"w20"}


@pytest.mark.parametrize(
    ("asked", "passed"), [("", None), ("en", "en"), ("en-GB", "en"), ("DE", "de"), ("de_AT", "de")]
)
async def test_the_language_reaches_the_engine(asked: str, passed: str | None) -> None:
    engine = FakeEngine()
    async with asr_door(engine) as door:
        await door.recognize(TALK, language=asked)
    assert {heard.language for heard in engine.asked} == {passed}


async def test_an_unknown_language_is_refused(door: AsrDoor) -> None:
    status = await failure(door.recognize(TALK, language="tlh"))
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert "'tlh'" in status.message
    assert "en, de" in status.message
    assert "config.language" in str(status.details)


async def test_the_length_limit_is_kept() -> None:
    async with asr_door(config=asr_config(max_audio_seconds=5.0)) as door:
        assert (await failure(door.recognize(TALK))).code == code_pb2.OUT_OF_RANGE


async def test_a_silent_caller_is_let_go() -> None:
    async with asr_door(config=asr_config(max_idle_seconds=0.2)) as door:
        call = door.stub.Recognize(upload(TALK, end=False))

        assert (await failure(answer_of(call))).code == code_pb2.DEADLINE_EXCEEDED


async def test_an_engine_that_breaks_says_nothing_of_its_inside() -> None:
    def broken(_: Speech) -> Recognition:
        raise ArithmeticError("secret")

    async with asr_door(FakeEngine(broken)) as door:
        status = await failure(door.recognize(TALK))
        assert status.code == code_pb2.INTERNAL
        assert "secret" not in str(status)
        assert (await failure(door.recognize(TALK))).code == code_pb2.INTERNAL


async def test_cancelling_ends_the_computation() -> None:
    engine = FakeEngine(gate=(gate := threading.Event()))
    async with asr_door(engine) as door:
        call = door.stub.Recognize(upload(TALK * 3))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        call.cancel()
        await asyncio.sleep(0.2)
        gate.set()
        await door.recognize(speech((0.2, 1.0)))
        assert len(engine.asked) == 2


async def test_cancelling_stops_a_batch_that_nobody_else_is_in() -> None:
    engine = FakeEngine(info=replace(INFO, max_batch=8), gate=threading.Event())
    async with asr_door(engine) as door:
        call = door.stub.Recognize(upload(TALK))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        call.cancel()
        assert await asyncio.to_thread(engine.stopped.acquire, timeout=5)


async def test_recordings_share_batches_and_keep_their_words() -> None:
    engine = FakeEngine(info=replace(INFO, max_batch=8), gate=(gate := threading.Event()))
    async with asr_door(engine) as door:
        first = asyncio.create_task(door.recognize(speech((0.2, 1.0))))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        both = [
            asyncio.create_task(door.recognize(speech((0.2, 2.0), loudness=loudness)))
            for loudness in (0.8, 0.2)
        ]
        await door.queued(2)
        gate.set()
        loud, quiet = await asyncio.gather(*both)
        assert (await first).words
    assert [len(batch) for batch in engine.batches] == [1, 2]
    assert {word.text for word in loud.words} == {"w80"}
    assert {word.text for word in quiet.words} == {"w20"}


async def test_a_recording_is_refused_while_the_audio_before_it_takes_too_long() -> None:
    def slowly(speech: Speech) -> Recognition:
        time.sleep(0.05)
        return measured_words(speech)

    gate = threading.Event()
    gate.set()
    async with asr_door(FakeEngine(slowly, gate=gate), asr_config(max_wait_seconds=0.05)) as door:
        # Nothing was decoded yet, so nobody knows how long anything takes.
        both = [asyncio.create_task(door.recognize(TALK)) for _ in range(2)]
        assert [answer.completed.utterances for answer in await asyncio.gather(*both)] == [3, 3]
        gate.clear()
        taken = asyncio.create_task(door.recognize(TALK))
        await door.queued(1)
        assert door.metric("duoscribe_wait_seconds") > 0.05
        assert door.metric("duoscribe_load_ratio") > 1
        status = await failure(door.recognize(TALK))
        gate.set()
        assert (await taken).completed.utterances == 3
        assert (await door.recognize(TALK)).completed.utterances == 3
    retry = error_details_pb2.RetryInfo()
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    assert status.details[0].Unpack(retry)
    assert seconds(retry.retry_delay) == 1.0


async def test_a_full_queue_refuses_a_new_recording_and_finishes_those_it_has() -> None:
    engine = FakeEngine(gate=(gate := threading.Event()))
    async with asr_door(engine, asr_config(max_queue=1)) as door:
        taken = asyncio.create_task(door.recognize(TALK))
        await door.queued(1)
        status = await failure(door.recognize(TALK))
        gate.set()
        assert (await taken).completed.utterances == 3
        assert (await door.recognize(TALK)).completed.utterances == 3
    retry = error_details_pb2.RetryInfo()
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    assert status.details[0].Unpack(retry)
    assert seconds(retry.retry_delay) >= 1
    assert door.metric("duoscribe_asr_refused_recordings_total") == 1


async def test_a_slow_engine_holds_the_upload_back() -> None:
    """Far less is read than is offered, so memory stays bounded whatever the recording's length."""
    engine = FakeEngine(gate=(gate := threading.Event()))
    sent = 0

    async def endless() -> AsyncIterator[asr_pb2.RecognizeRequest]:
        nonlocal sent
        yield config_message()
        piece = speech((2.0, 3.0))
        while True:
            sent += 5
            yield asr_pb2.RecognizeRequest(audio=piece)

    async with asr_door(engine, asr_config(backlog=2)) as door:
        call = door.stub.Recognize(endless())
        await asyncio.sleep(1.0)
        early = sent
        await asyncio.sleep(0.5)
        assert sent == early
        call.cancel()
        gate.set()


async def test_describes_itself(door: AsrDoor) -> None:
    described = await door.stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest())
    assert described.family == INFO.family
    assert list(described.languages) == ["en", "de"]
    assert described.word_timing == asr_pb2.WORD_TIMING_MEASURED
    assert described.word_confidence
    assert seconds(described.max_utterance_duration) == pytest.approx(25.3)
    assert described.limits.max_concurrent_streams == 16
    assert [model.name for model in described.models] == ["fake"]
    assert (described.max_batch, described.provider_reason) == (1, "")


async def test_describes_its_batches_and_why_it_runs_where_it_runs() -> None:
    engine = FakeEngine(info=replace(INFO, max_batch=32, provider_reason="no GPU was found"))
    async with asr_door(engine, asr_config(max_batch=8)) as door:
        described = await door.stub.DescribeRecognition(asr_pb2.DescribeRecognitionRequest())
    assert (described.max_batch, described.provider_reason) == (8, "no GPU was found")


async def test_the_log_tells_what_was_loaded(capture: list[MutableMapping[str, Any]]) -> None:
    engine = FakeEngine(info=replace(INFO, provider_reason="no GPU was found"))
    async with asr_door(engine):
        (line,) = [line for line in capture if line["event"] == "recognition is loaded"]
    assert (line["engine"], line["provider"], line["reason"]) == ("fake 1.0", "cpu", "no GPU was found")


async def test_health_answers_while_the_engine_decodes() -> None:
    engine = FakeEngine(gate=(gate := threading.Event()))
    async with asr_door(engine) as door:
        call = door.stub.Recognize(upload(TALK))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        started = time.perf_counter()
        health = health_pb2_grpc.HealthStub(door.channel)
        status = await health.Check(health_pb2.HealthCheckRequest(service="speech.asr.v1.SpeechRecognition"))
        assert status.status == health_pb2.HealthCheckResponse.SERVING
        assert time.perf_counter() - started < 0.1
        gate.set()
        assert (await answer_of(call)).completed.words


async def test_a_missing_model_keeps_the_service_from_serving() -> None:
    def missing() -> None:
        raise ModelUnavailable("run `duoscribe models pull whisper-tiny.en`")

    with pytest.raises(ModelUnavailable):
        async with asr_door(load=missing):  # type: ignore[arg-type]
            pytest.fail("it serves")


async def test_words_say_that_their_times_are_estimated() -> None:
    engine = FakeEngine(
        lambda heard: Recognition(
            tuple(replace(token, start=None, log_prob=None) for token in measured_words(heard).tokens)
        ),
        info=replace(INFO, measures_time=False, has_confidence=False),
    )
    async with asr_door(engine) as door:
        words = (await door.recognize(TALK)).words
    assert {word.timing for word in words} == {asr_pb2.WORD_TIMING_ESTIMATED}
    assert not any(word.HasField("confidence") for word in words)


async def test_a_container_is_decoded_too(door: AsrDoor) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(TALK)

    async def messages() -> AsyncIterator[asr_pb2.RecognizeRequest]:
        container = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())
        yield asr_pb2.RecognizeRequest(config=asr_pb2.RecognitionConfig(audio_format=container))
        yield asr_pb2.RecognizeRequest(audio=file.getvalue())
        yield asr_pb2.RecognizeRequest(end_of_audio=audio_pb2.EndOfAudio())

    answer = await answer_of(door.stub.Recognize(messages()))
    assert answer.utterances == (await door.recognize(TALK)).utterances
