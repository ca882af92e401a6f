"""What a trace shows of calls that fail: the gateway as it is, and backends that fail where a test wants them to."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.client import TranscriptionError
from support.gateway.deployment import deployed
from support.gateway.fakes import diarization, failing, recognition
from support.traces import collecting

UTTERANCE = (0.0, 5.0, "said in confidence")
TURN = (0.0, 5.0, "SPEAKER_00")
RECOGNIZE = "speech.asr.v1.SpeechRecognition/Recognize"
TRANSCRIBE = "speech.gateway.v1.Transcription/Transcribe"


@asynccontextmanager
async def traced(tmp_path, asr, diarizer, **changes: Any):
    """All spans have arrived once the context has ended."""
    with collecting() as collector:
        async with deployed(
            tmp_path, asr, diarizer, traces_endpoint=collector.endpoint, **changes
        ) as deployment:
            yield collector, deployment


async def test_attempts_are_siblings_with_their_numbers_replicas_and_statuses(tmp_path):
    replicas = [
        recognition(UTTERANCE, faults=[failing(grpc.StatusCode.UNAVAILABLE, "it is going down")])
        for _ in range(2)
    ]
    async with traced(tmp_path, replicas, diarization(TURN)) as (collector, deployment):
        await deployment.transcript(request_id="talk-7")

    (call,) = collector.named(TRANSCRIBE)
    attempts = collector.named(RECOGNIZE)
    assert {attempt.parent for attempt in attempts} == {call.id}
    assert [attempt.attributes["duoscribe.attempt"] for attempt in attempts] == [1, 2, 3]
    assert [attempt.attributes["rpc.response.status_code"] for attempt in attempts] == [
        "UNAVAILABLE",
        "UNAVAILABLE",
        "OK",
    ]
    assert [attempt.is_error for attempt in attempts] == [True, True, False]
    assert attempts[0].span.status.message == "it is going down"
    assert len({attempt.attributes["duoscribe.replica"] for attempt in attempts}) == 2


async def test_each_attempt_is_what_the_backend_continues(tmp_path):
    asr = recognition(UTTERANCE, faults=[failing(grpc.StatusCode.UNAVAILABLE)])
    async with traced(tmp_path, asr, diarization(TURN)) as (collector, deployment):
        await deployment.transcript()

    (call,) = collector.named(TRANSCRIBE)
    sent = [received.metadata["traceparent"].split("-")[1:3] for received in asr.calls]
    assert sent == [[call.trace, attempt.id] for attempt in collector.named(RECOGNIZE)]


async def test_a_recording_that_fails_is_an_error_on_the_attempt_and_on_the_call(tmp_path):
    broken = failing(grpc.StatusCode.INTERNAL, "it has a bug")
    asr = recognition(UTTERANCE, faults=[broken] * 2)
    async with traced(tmp_path, asr, diarization(TURN), attempts=2) as (collector, deployment):
        with pytest.raises(TranscriptionError):
            await deployment.transcript()

    (call,) = collector.named(TRANSCRIBE)
    assert call.attributes["rpc.response.status_code"] == "INTERNAL"
    assert call.attributes["error.type"] == "StageFailed"
    assert call.is_error
    (merge,) = collector.named("merge")
    assert merge.is_error


async def test_a_caller_who_goes_away_leaves_a_trace_without_errors_of_the_gateways_own(tmp_path):
    asr = recognition(UTTERANCE)
    asr.released.clear()
    async with traced(tmp_path, asr, diarization(TURN)) as (collector, deployment):
        calling = asyncio.create_task(deployment.transcript())
        await asr.called.wait()
        calling.cancel()
        await asyncio.wait((calling,))

    (call,) = collector.named(TRANSCRIBE)
    (attempt,) = collector.named(RECOGNIZE)
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"
    assert attempt.attributes["rpc.response.status_code"] == "CANCELLED"
    assert not call.is_error


async def test_a_recording_leaves_the_same_number_of_spans_however_long_it_is(tmp_path):
    counts = []
    for seconds in (5.0, 300.0):
        utterances = [(start, start + 1.0, "word") for start in range(0, int(seconds), 2)]
        async with traced(tmp_path, recognition(*utterances), diarization(TURN)) as (collector, deployment):
            await deployment.transcript(seconds)
        counts.append(len(collector.spans))
    assert counts[0] == counts[1]


async def test_no_word_of_a_transcript_is_in_a_trace(tmp_path):
    async with traced(tmp_path, recognition(UTTERANCE), diarization(TURN)) as (collector, deployment):
        transcript = await deployment.transcript()

    assert "confidence" in str(transcript.segments)
    assert not any(b"confidence" in request for request in collector.requests)
