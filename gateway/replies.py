"""The contract's messages, made of what was merged and reported."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from gateway.merge import AttributedWord, Segment, Turn
from gateway.reports import Ended, Retrying, Stage
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2


def started(request_id: str, recording: audio_pb2.RecordingInfo) -> gateway_pb2.TranscribeResponse:
    return gateway_pb2.TranscribeResponse(
        started=gateway_pb2.TranscriptionStarted(request_id=request_id, recording=recording)
    )


def segment(found: Segment) -> gateway_pb2.TranscribeResponse:
    """Recognition never takes a word back, so text is final from the start."""
    return gateway_pb2.TranscribeResponse(
        segment=gateway_pb2.Segment(
            segment_id=found.segment_id,
            revision=found.revision,
            text_final=True,
            speaker_final=found.speaker_final,
            supersedes=found.supersedes,
            span=span(found.start, found.end),
            speaker=found.speaker,
            text=found.text,
            words=[_word(attributed) for attributed in found.words],
        )
    )


def progress(stage: Stage, processed: int, total: int | None) -> gateway_pb2.TranscribeResponse:
    return gateway_pb2.TranscribeResponse(
        progress=gateway_pb2.StageProgress(
            stage=stage,
            processed=duration(processed),
            total=None if total is None else duration(total),
        )
    )


def stage_status(report: Retrying | Ended) -> gateway_pb2.TranscribeResponse:
    return gateway_pb2.TranscribeResponse(
        stage_status=gateway_pb2.StageStatus(
            stage=report.stage,
            status=report.status,
            retrying=isinstance(report, Retrying),
            attempts=report.attempts,
        )
    )


def summary(ended: Ended) -> gateway_pb2.StageSummary:
    return gateway_pb2.StageSummary(
        stage=ended.stage,
        status=ended.status,
        timing=ended.completed.timing if ended.completed else None,
        attempts=ended.attempts,
    )


def turns(found: Iterable[Turn]) -> list[diarization_pb2.Turn]:
    return [
        diarization_pb2.Turn(
            span=span(turn.start, turn.end), speaker=turn.speaker, confidence=turn.confidence
        )
        for turn in found
    ]


def span(start: int, end: int) -> audio_pb2.TimeSpan:
    return audio_pb2.TimeSpan(start=duration(start), end=duration(end))


def duration(nanoseconds: int) -> Duration:
    result = Duration()
    result.FromNanoseconds(nanoseconds)
    return result


def _word(attributed: AttributedWord) -> gateway_pb2.AttributedWord:
    word = attributed.word
    return gateway_pb2.AttributedWord(
        text=word.text,
        start=duration(word.start),
        end=duration(word.end),
        confidence=word.confidence,
        timing=asr_pb2.WordTiming.ValueType(word.timing),
        speaker=attributed.speaker,
        overlapping_speakers=attributed.overlapping,
    )
