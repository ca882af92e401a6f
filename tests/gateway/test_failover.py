"""What happens when a backend does not do its work."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2
from grpc import StatusCode

from gateway.client import Transcript, TranscriptionError, configuration
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import (
    Answer,
    diarization,
    early,
    failing,
    hanging,
    recognition,
    turns_update,
)

UTTERANCES = ((0.5, 2.5, "hello there you"), (3.0, 5.0, "well hi my friend"), (5.2, 8.0, "how are you"))
TURNS = ((0.4, 2.6, "SPEAKER_00"), (2.9, 5.1, "SPEAKER_01"), (5.1, 8.0, "SPEAKER_00"))
WORDS = "hello there you well hi my friend how are you"

PASSING = [
    StatusCode.UNAVAILABLE,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.INTERNAL,
    StatusCode.UNKNOWN,
    StatusCode.ABORTED,
    StatusCode.CANCELLED,
    # Not the caller's deadline, which it did not set: some server's own.
    StatusCode.DEADLINE_EXCEEDED,
]
LASTING = [
    (StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL),
    (StatusCode.NOT_FOUND, StatusCode.INTERNAL),
    (StatusCode.PERMISSION_DENIED, StatusCode.INTERNAL),
    (StatusCode.UNAUTHENTICATED, StatusCode.INTERNAL),
    (StatusCode.UNIMPLEMENTED, StatusCode.INTERNAL),
    (StatusCode.DATA_LOSS, StatusCode.INTERNAL),
    (StatusCode.FAILED_PRECONDITION, StatusCode.FAILED_PRECONDITION),
    (StatusCode.OUT_OF_RANGE, StatusCode.OUT_OF_RANGE),
]


def check_whole(transcript: Transcript) -> None:
    assert transcript.text == WORDS
    assert [segment.speaker for segment in transcript.final_segments] == [speaker for _, _, speaker in TURNS]
    assert not transcript.completed.partial


def attempts(transcript: Transcript) -> list[int]:
    return [stage.attempts for stage in transcript.completed.stages]


async def failure_of(call) -> TranscriptionError:
    with pytest.raises(TranscriptionError) as caught:
        await call
    assert "secret" not in caught.value.message
    assert "127.0.0.1" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
@pytest.mark.parametrize("after", [0, 1, 4])
async def test_recognition_is_called_again_and_repeats_nothing(tmp_path, code, after):
    asr = recognition(*UTTERANCES, faults=[failing(code, after=after)])
    async with deployed(tmp_path, asr, diarization(*TURNS)) as door:
        transcript, events = await door.events()
    check_whole(transcript)
    assert attempts(transcript) == [2, 1]
    assert [call.received for call in asr.calls][1] == 320_000
    (retry,) = [event.stage_status for event in events if event.stage_status.retrying]
    assert (retry.stage, retry.attempts) == (gateway_pb2.STAGE_ASR, 1)
    assert "secret" not in retry.status.message


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_diarization_is_called_again(tmp_path, code, after):
    diarizer = diarization(*TURNS, faults=[failing(code, after=after)])
    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door:
        transcript = await door.transcript()
    check_whole(transcript)
    assert attempts(transcript) == [1, 2]


@pytest.mark.parametrize("after", [2, 3, 4])
async def test_early_labels_stay_while_another_replica_catches_up(tmp_path, after):
    diarizer = diarization(*TURNS, faults=[failing(StatusCode.UNAVAILABLE, after=after)])
    diarizer.script[1:1] = [
        early(2.8, turns_update([(0.4, 2.6, "SPEAKER_00")], horizon=2.8, final=0)),
        early(6.0, turns_update([(2.9, 5.5, "SPEAKER_01")], since=2.7, horizon=5.5, final=0)),
        early(9.0, turns_update([(5.2, 8.0, "SPEAKER_00")], since=5.1, until=5.3, horizon=8.2, final=0)),
    ]
    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door:
        transcript, events = await door.events()
    check_whole(transcript)
    assert attempts(transcript) == [1, 2]
    labels = {}
    for segment in (event.segment for event in events if event.HasField("segment")):
        # Nobody's label is taken away again.
        assert segment.speaker or not any(labels.get(word.text + str(word.start)) for word in segment.words)
        labels |= {word.text + str(word.start): segment.speaker for word in segment.words}


@pytest.mark.parametrize(("code", "shown"), LASTING, ids=lambda code: code.name)
async def test_what_another_replica_would_say_as_well_is_not_asked_again(tmp_path, code, shown):
    asr = recognition(*UTTERANCES, faults=[failing(code)])
    async with deployed(tmp_path, asr, diarization(*TURNS)) as door:
        error = await failure_of(door.transcript())
    assert error.code == shown
    assert len(asr.calls) == 1


@pytest.mark.parametrize("field", ["config.language", "config.speakers.exact"])
async def test_a_backend_may_object_to_what_the_caller_said(tmp_path, field):
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description="cannot be")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    diarizer = diarization(faults=[failing(StatusCode.INVALID_ARGUMENT, "cannot be", bad)])
    async with deployed(tmp_path, recognition(), diarizer) as door:
        error = await failure_of(door.file())
    assert (error.code, error.field, error.message) == (StatusCode.INVALID_ARGUMENT, field, "cannot be")


async def test_an_objection_to_the_gateways_own_audio_is_a_bug(tmp_path):
    violation = error_details_pb2.BadRequest.FieldViolation(field="config.audio_format", description="x")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    asr = recognition(faults=[failing(StatusCode.INVALID_ARGUMENT, "secret", bad)])
    async with deployed(tmp_path, asr, diarization()) as door:
        assert (await failure_of(door.file())).code == StatusCode.INTERNAL


async def test_calls_are_bounded(tmp_path):
    asr = recognition(faults=[failing(StatusCode.UNAVAILABLE)] * 9)
    async with deployed(tmp_path, asr, diarization(), attempts=3) as door:
        error = await failure_of(door.transcript())
    assert error.code == StatusCode.UNAVAILABLE
    assert len(asr.calls) == 3


async def test_calls_that_come_further_are_not_counted(tmp_path):
    # One utterance more with each call; two messages an utterance, and the one that says that it has started.
    faults = [failing(StatusCode.UNAVAILABLE, after=1 + 2 * utterances) for utterances in (1, 2, 3)]
    asr = recognition(*UTTERANCES, faults=faults)
    async with deployed(tmp_path, asr, diarization(*TURNS), attempts=2) as door:
        transcript = await door.transcript()
    check_whole(transcript)
    assert attempts(transcript) == [4, 1]


async def test_calls_that_fail_at_the_same_place_are_counted(tmp_path):
    asr = recognition(*UTTERANCES, faults=[failing(StatusCode.UNAVAILABLE, after=3)] * 9)
    async with deployed(tmp_path, asr, diarization(*TURNS), attempts=3) as door:
        assert (await failure_of(door.transcript())).code == StatusCode.UNAVAILABLE
    assert len(asr.calls) == 3


async def test_an_overloaded_backend_says_when(tmp_path):
    wait = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=300_000_000))
    asr = recognition(faults=[failing(StatusCode.RESOURCE_EXHAUSTED, "full", wait)])
    async with deployed(tmp_path, asr, diarization()) as door:
        started = asyncio.get_running_loop().time()
        await door.transcript(1.0)
        assert asyncio.get_running_loop().time() - started >= 0.3
    asr = recognition(faults=[failing(StatusCode.RESOURCE_EXHAUSTED, "full", wait)] * 2)
    async with deployed(tmp_path, asr, diarization(), attempts=1) as door:
        error = await failure_of(door.transcript(1.0))
    assert (error.code, error.retry_after) == (StatusCode.RESOURCE_EXHAUSTED, 0.3)


async def test_an_answer_that_ends_early_is_no_answer(tmp_path):
    asr = recognition(*UTTERANCES)
    completed = asr.script.pop()
    async with deployed(tmp_path, asr, diarization(*TURNS), attempts=2) as door:
        error = await failure_of(door.transcript())
        assert error.code == StatusCode.INTERNAL
        assert len(asr.calls) == 2
        asr.script.append(completed)
        check_whole(await door.transcript())


async def test_a_replica_that_says_nothing_is_given_up(tmp_path):
    stuck, sound = recognition(*UTTERANCES, faults=[hanging()] * 9), recognition(*UTTERANCES)
    async with deployed(tmp_path, [stuck, sound], diarization(*TURNS), silence_seconds=0.5) as door:
        async with asyncio.timeout(20):
            while not stuck.calls:
                transcript = await door.transcript()
                check_whole(transcript)
    assert attempts(transcript)[0] >= 2


async def test_a_paused_upload_is_no_silence_of_the_backend(tmp_path):
    async def slowly():
        async for chunk in audio(4.0, chunk_bytes=64_000):
            yield chunk
            await asyncio.sleep(1.0)

    utterances = [(second, second + 0.9, "word") for second in range(4)]
    diarizer = diarization()
    progress = diarization_pb2.DiarizeResponse(progress=diarization_pb2.DiarizationProgress())
    diarizer.script[1:1] = [Answer(seconds, progress) for seconds in (2.0, 4.0)]
    async with deployed(
        tmp_path, recognition(*utterances), diarizer, silence_seconds=0.6, attempts=1
    ) as door:
        events = [event async for event in door.client.transcribe(slowly(), configuration(pcm=PCM))]
    assert events[-1].completed.words == 4


async def test_a_slow_caller_is_no_silence_of_the_backend(tmp_path):
    async with deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS), silence_seconds=0.7) as door:
        transcript = Transcript()
        async for event in door.client.transcribe(audio(10.0), configuration(pcm=PCM)):
            transcript.apply(event)
            await asyncio.sleep(0.05)
    check_whole(transcript)
    assert attempts(transcript) == [1, 1]


async def test_calls_go_round_the_replicas(tmp_path):
    replicas = [recognition(), recognition()]
    async with deployed(tmp_path, replicas, diarization()) as door:
        async with asyncio.timeout(20):
            while not all(len(replica.calls) > 1 for replica in replicas):
                await door.transcript(0.1)


async def test_a_replica_killed_within_the_recording_loses_nothing(tmp_path):
    replicas = [recognition(*UTTERANCES, faults=[hanging(after=3)]) for _ in range(2)]
    async with deployed(tmp_path, replicas, diarization(*TURNS)) as door:
        transcript, killed = Transcript(), False
        async for event in door.client.transcribe(audio(10.0), configuration(pcm=PCM)):
            transcript.apply(event)
            if event.HasField("segment") and not killed:
                killed = True
                (busy,) = [replica for replica in replicas if replica.calls]
                (other,) = [replica for replica in replicas if replica is not busy]
                other.faults.clear()
                await door.kill(busy)
    check_whole(transcript)
    assert attempts(transcript) == [2, 1]


async def test_a_replica_that_refuses_connections_is_passed_over(tmp_path):
    replicas = [recognition(*UTTERANCES), recognition(*UTTERANCES)]
    async with deployed(tmp_path, replicas, diarization(*TURNS)) as door:
        await door.kill(replicas[0])
        for _ in range(3):
            check_whole(await door.transcript())
    assert len(replicas[1].calls) == 3


async def test_without_any_replica_the_call_fails_soon(tmp_path):
    asr = recognition()
    async with deployed(tmp_path, asr, diarization(), attempts=2) as door:
        await door.kill(asr)
        error = await failure_of(door.file(1.0))
    assert error.code == StatusCode.UNAVAILABLE
    assert "speech recognition" in error.message


async def test_partial_words_without_speakers(tmp_path):
    diarizer = diarization(faults=[failing(StatusCode.UNAVAILABLE)] * 9)
    async with deployed(tmp_path, recognition(*UTTERANCES), diarizer, attempts=2) as door:
        transcript = await door.transcript(accept_partial=True)
        assert transcript.stages[gateway_pb2.STAGE_DIARIZATION].status.code == code_pb2.UNAVAILABLE
        assert transcript.text == WORDS
        assert len(transcript.final_segments) == len(transcript.segments) == 1
        assert transcript.segments[0].speaker == ""
        completed = transcript.completed
        assert (completed.partial, list(completed.speakers), list(completed.turns)) == (True, [], [])
        assert [stage.status.code for stage in completed.stages] == [0, code_pb2.UNAVAILABLE]
        assert not completed.stages[1].HasField("timing")
        reply = await door.file(accept_partial=True)
        assert [segment.text for segment in reply.segments] == [WORDS]


async def test_partial_speakers_without_words(tmp_path):
    asr = recognition(faults=[failing(StatusCode.FAILED_PRECONDITION)])
    async with deployed(tmp_path, asr, diarization(*TURNS)) as door:
        transcript = await door.transcript(accept_partial=True)
    assert transcript.segments == []
    assert transcript.completed.partial
    assert list(transcript.completed.speakers) == ["SPEAKER_00", "SPEAKER_01"]
    assert len(transcript.completed.turns) == 3


async def test_words_that_came_before_recognition_failed_stay(tmp_path):
    asr = recognition(*UTTERANCES, faults=[failing(StatusCode.FAILED_PRECONDITION, after=5)])
    async with deployed(tmp_path, asr, diarization(*TURNS)) as door:
        transcript = await door.transcript(accept_partial=True)
    assert transcript.text == "hello there you well hi my friend"
    assert transcript.completed.partial


async def test_partial_is_at_least_something(tmp_path):
    broken = [failing(StatusCode.FAILED_PRECONDITION)]
    async with deployed(tmp_path, recognition(faults=broken), diarization(faults=broken)) as door:
        error = await failure_of(door.transcript(accept_partial=True))
    assert error.code == grpc.StatusCode.FAILED_PRECONDITION
