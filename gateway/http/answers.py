"""Transcripts in the forms of OpenAI's API (https://platform.openai.com/docs/api-reference/audio), in seconds."""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from gateway.http.wanted import ResponseFormat, Wanted
from gateway.rendering import OutputFormat, render
from gateway.rendering.clock import milliseconds
from gateway.transcript import Transcript
from speech.gateway.v1.gateway_pb2 import AttributedWord, Segment, TranscribeFileResponse

JsonObject = dict[str, Any]

# BCP-47's tag for a language that nobody told.
_UNDETERMINED = "und"
_CENTISECONDS = 100


def answer(transcript: Transcript, wanted: Wanted) -> Response:
    """Takes as long as the transcript is: of hours, better in a thread."""
    media_type, write = _WRITERS[wanted.response_format]
    return Response(write(transcript, wanted), media_type=media_type)


def diarized_segment(segment: Segment) -> JsonObject:
    return {
        "type": "transcript.text.segment",
        "id": segment.segment_id,
        **_times(segment.span),
        "speaker": segment.speaker,
        "text": segment.text,
    }


def _json(transcript: Transcript, _: Wanted) -> str:
    return dumped({"text": transcript.text, "usage": _usage(transcript)})


def _text(transcript: Transcript, _: Wanted) -> str:
    return f"{transcript.text}\n"


def _srt(transcript: Transcript, _: Wanted) -> str:
    return _rendered(transcript, OutputFormat.SRT)


def _vtt(transcript: Transcript, _: Wanted) -> str:
    return _rendered(transcript, OutputFormat.VTT)


def _verbose_json(transcript: Transcript, wanted: Wanted) -> str:
    document = {
        "task": "transcribe",
        "language": wanted.language or _UNDETERMINED,
        "duration": _duration(transcript),
        "text": transcript.text,
        "usage": _usage(transcript),
    }
    if "word" in wanted.granularities:
        document["words"] = [
            {"word": word.text, **_times(word)} for segment in transcript.segments for word in segment.words
        ]
    if "segment" in wanted.granularities or not wanted.granularities:
        document["segments"] = [_verbose_segment(*each) for each in enumerate(transcript.segments)]
    return dumped(document)


def _diarized_json(transcript: Transcript, _: Wanted) -> str:
    return dumped(
        {
            "task": "transcribe",
            "duration": _duration(transcript),
            "text": transcript.text,
            "segments": [diarized_segment(segment) for segment in transcript.segments],
            "usage": _usage(transcript),
        }
    )


def _verbose_segment(number: int, segment: Segment) -> JsonObject:
    """Clients demand all of these. Tokens are not told here, and what is recognised has passed voice activity detection."""
    return {
        "id": number,
        "seek": milliseconds(segment.span.start) * _CENTISECONDS // 1000,
        **_times(segment.span),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _mean_logarithm(segment.words),
        "compression_ratio": _compression_ratio(segment.text),
        "no_speech_prob": 0.0,
    }


def _mean_logarithm(words: Sequence[AttributedWord]) -> float:
    """Of the words' confidences; 0 where the model gives none."""
    logarithms = [math.log(word.confidence) for word in words if word.confidence > 0]
    return round(sum(logarithms) / len(logarithms), 4) if logarithms else 0.0


def _compression_ratio(text: str) -> float:
    """As Whisper reckons it: much above 2 where text repeats itself."""
    encoded = text.encode()
    return round(len(encoded) / len(zlib.compress(encoded)), 4)


def _rendered(transcript: Transcript, output_format: OutputFormat) -> str:
    whole = TranscribeFileResponse(segments=transcript.segments, completed=transcript.completed)
    return render(whole, output_format, name="")


def _duration(transcript: Transcript) -> float:
    return 0.0 if transcript.completed is None else milliseconds(transcript.completed.duration) / 1000


def _usage(transcript: Transcript) -> JsonObject:
    return {"type": "duration", "seconds": _duration(transcript)}


def _times(span: Any) -> JsonObject:
    """Of what has a start and an end."""
    return {"start": milliseconds(span.start) / 1000, "end": milliseconds(span.end) / 1000}


def dumped(document: JsonObject) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


_Writer = Callable[[Transcript, Wanted], str]
_WRITERS: Mapping[ResponseFormat, tuple[str, _Writer]] = {
    ResponseFormat.JSON: ("application/json", _json),
    ResponseFormat.TEXT: ("text/plain", _text),
    ResponseFormat.SRT: ("text/plain", _srt),
    ResponseFormat.VERBOSE_JSON: ("application/json", _verbose_json),
    ResponseFormat.VTT: ("text/vtt", _vtt),
    ResponseFormat.DIARIZED_JSON: ("application/json", _diarized_json),
}
