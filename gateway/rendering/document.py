"""A transcript for programs: the JSON that docs/transcript.schema.json describes."""

import json
from typing import Any

from google.protobuf.duration_pb2 import Duration

from gateway.rendering.clock import milliseconds
from speech.audio.v1.audio_pb2 import ModelInfo, TimeSpan
from speech.diarization.v1.diarization_pb2 import SpeakerVoice, Turn
from speech.gateway.v1.gateway_pb2 import AttributedWord, Segment, TranscribeFileResponse

JsonObject = dict[str, Any]


def _seconds(duration: Duration) -> float:
    return milliseconds(duration) / 1000


def _word(word: AttributedWord) -> JsonObject:
    return {
        "text": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "confidence": round(word.confidence, 4) if word.HasField("confidence") else None,
        "speaker": word.speaker or None,
    }


def _segment(segment: Segment) -> JsonObject:
    return {
        "id": segment.segment_id,
        **_span(segment.span),
        "speaker": segment.speaker or None,
        "text": segment.text,
        "words": [_word(word) for word in segment.words],
    }


def _span(span: TimeSpan) -> JsonObject:
    return {"start": _seconds(span.start), "end": _seconds(span.end)}


def _turn(turn: Turn) -> JsonObject:
    confidence = round(turn.confidence, 4) if turn.HasField("confidence") else None
    return {**_span(turn.span), "speaker": turn.speaker, "confidence": confidence}


def _voice(voice: SpeakerVoice) -> JsonObject:
    """A float32 has no more than seven digits, of which six behind the point are enough for a vector of length 1."""
    return {
        "speaker": voice.label,
        "duration": _seconds(voice.speech_duration),
        "embedding": [round(value, 6) for value in voice.embedding] or None,
        "fingerprint": voice.model_fingerprint or None,
    }


def _model(model: ModelInfo) -> JsonObject:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "license": model.license or None,
        "engine": model.engine,
        "provider": model.provider,
    }


def transcript_document(transcript: TranscribeFileResponse) -> JsonObject:
    """The transcript as plain values: times in seconds to the millisecond, null for what is not known.

    `partial` stands in it only where a stage failed and the caller accepts what the other one found.
    """
    completed = transcript.completed
    document: JsonObject = {"partial": True} if completed.partial else {}
    return document | {
        "duration": _seconds(completed.duration),
        "speakers": list(completed.speakers),
        "segments": [_segment(segment) for segment in transcript.segments],
        "turns": [_turn(turn) for turn in completed.turns],
        "overlaps": [_span(span) for span in completed.overlaps],
        "voices": [_voice(voice) for voice in completed.voices],
        "models": {model.role: _model(model) for model in completed.models},
    }


def render_json(transcript: TranscribeFileResponse) -> str:
    """Indented JSON, with every letter as itself."""
    return json.dumps(transcript_document(transcript), ensure_ascii=False, indent=2) + "\n"


def render_json_line(transcript: TranscribeFileResponse) -> str:
    """The same in a single line, for several transcripts one after the other (JSON Lines)."""
    return json.dumps(transcript_document(transcript), ensure_ascii=False, separators=(",", ":")) + "\n"
