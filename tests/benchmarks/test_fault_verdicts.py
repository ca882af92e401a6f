"""The fault benchmark's judgement: what it must not let pass."""

from dataclasses import replace

import pytest
from grpc import StatusCode

from benchmarks.faults.uploads import Caller, Upload
from benchmarks.faults.verdicts import Kind, Reference, verdict
from gateway.client import Transcript, TranscriptionError
from serving.times import duration
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

UPLOAD = Upload(
    recording=0,
    seconds=0.0,
    chunk_bytes=1,
    as_wav=False,
    whole=False,
    final_only=False,
    accept_partial=True,
)
WORDS = (("hello", "A"), ("there", "A"), ("hi", "B"))
TURNS = ((0.0, 2.0, "A"), (2.0, 3.0, "B"))


def segment(number: int, text: str, speaker: str) -> gateway_pb2.TranscribeResponse:
    """A word at its second."""
    word = gateway_pb2.AttributedWord(
        text=text, speaker=speaker, start=duration(number), end=duration(number + 1)
    )
    return gateway_pb2.TranscribeResponse(
        segment=gateway_pb2.Segment(
            segment_id=f"{number}-{text}",
            words=[word],
            span=audio_pb2.TimeSpan(start=word.start, end=word.end),
        )
    )


def completed(*, turns=TURNS, failed=(), partial=False) -> gateway_pb2.TranscribeResponse:
    stages = []
    for stage in (gateway_pb2.STAGE_ASR, gateway_pb2.STAGE_DIARIZATION):
        summary = gateway_pb2.StageSummary(stage=stage, attempts=1)
        summary.status.code = 14 if stage in failed else 0
        stages.append(summary)
    found = [
        diarization_pb2.Turn(
            span=audio_pb2.TimeSpan(start=duration(start), end=duration(end)), speaker=speaker
        )
        for start, end, speaker in turns
    ]
    return gateway_pb2.TranscribeResponse(
        completed=gateway_pb2.TranscriptionCompleted(turns=found, stages=stages, partial=partial)
    )


def caller(words=WORDS, last=None, **changes) -> Caller:
    """One who was told these words, one a second, and last this."""
    told = Caller(replace(UPLOAD, **changes), b"", "")
    for number, (text, speaker) in enumerate(words):
        event = segment(number, text, speaker)
        told.transcript.apply(event)
        told.seen.append(event.segment)
    if last is not None:
        told.transcript.apply(last)
    return told


def reference() -> Reference:
    return Reference.of(caller(last=completed()).transcript)


def judged(told: Caller, error: BaseException | None = None) -> Kind:
    return verdict(told, reference(), error).kind


def test_the_same_is_complete():
    assert judged(caller(last=completed())) is Kind.COMPLETE


@pytest.mark.parametrize(
    "told",
    [
        caller(WORDS[:2], completed()),
        caller((*WORDS, ("more", "B")), completed()),
        caller((WORDS[1], WORDS[0], WORDS[2]), completed()),
        caller((("hello", "B"), *WORDS[1:]), completed()),
        caller(last=completed(turns=TURNS[:1])),
        caller(last=completed(failed=[gateway_pb2.STAGE_ASR])),
        caller(last=completed(partial=True)),
        caller(last=None),
        caller(WORDS[:2], completed(failed=[gateway_pb2.STAGE_DIARIZATION], partial=True)),
        caller(WORDS, completed(failed=[gateway_pb2.STAGE_DIARIZATION], partial=True), accept_partial=False),
    ],
    ids=[
        "a word less",
        "a word more",
        "another order",
        "another speaker",
        "a turn less",
        "a stage failed unsaid",
        "partial without a reason",
        "no end",
        "words less though recognition was complete",
        "partial though not asked for",
    ],
)
def test_what_differs_is_wrong(told):
    assert judged(told) is Kind.WRONG


def test_a_word_that_came_twice_is_wrong():
    told = caller(last=completed())
    event = segment(0, "hello", "A")
    event.segment.segment_id = "another"
    told.transcript.apply(event)
    assert judged(told) is Kind.WRONG


def test_a_word_that_nobody_said_is_wrong_even_where_the_call_fails():
    failure = TranscriptionError(StatusCode.UNAVAILABLE, "gone")
    assert judged(caller((("goodbye", "A"),)), failure) is Kind.WRONG


def test_the_work_of_one_stage_is_partial():
    told = caller(
        [(text, "") for text, _ in WORDS],
        completed(turns=(), failed=[gateway_pb2.STAGE_DIARIZATION], partial=True),
    )
    assert judged(told) is Kind.PARTIAL


def test_a_status_is_a_failure_and_the_callers_own_deadline_is_not():
    late = TranscriptionError(StatusCode.DEADLINE_EXCEEDED, "late")
    assert judged(caller(WORDS[:1]), late) is Kind.FAILED
    assert judged(caller(WORDS[:1], deadline=1.0), late) is Kind.ENDED


def test_what_never_ends_and_what_was_cancelled_are_told_apart():
    assert judged(caller(WORDS[:1]), TimeoutError()) is Kind.HUNG
    assert judged(caller(WORDS[:1], cancelled_after=1.0)) is Kind.ENDED


def test_an_empty_transcript_has_no_words():
    assert Reference.of(Transcript()) == Reference((), ())
