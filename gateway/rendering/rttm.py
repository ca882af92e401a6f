"""Who spoke when, in NIST's Rich Transcription Time Marked format.

Source: "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.
"""

from pathlib import PurePath

from gateway.rendering.clock import decimal_seconds, milliseconds
from speech.diarization.v1.diarization_pb2 import Turn
from speech.gateway.v1.gateway_pb2 import TranscribeFileResponse


def recording_id(name: str) -> str:
    """The file's name without folder and suffix, spaces replaced: fields of RTTM are parted by spaces."""
    return "_".join(PurePath(name).stem.split()) or "recording"


def _line(turn: Turn, recording: str) -> str:
    start = milliseconds(turn.span.start)
    length = milliseconds(turn.span.end) - start
    times = f"{decimal_seconds(start)} {decimal_seconds(length)}"
    confidence = f"{turn.confidence:.3f}" if turn.HasField("confidence") else "<NA>"
    return f"SPEAKER {recording} 1 {times} <NA> <NA> {turn.speaker} {confidence} <NA>\n"


def render_rttm(transcript: TranscribeFileResponse, name: str) -> str:
    """One line a turn, overlaps included, in order of start."""
    recording = recording_id(name)
    return "".join(_line(turn, recording) for turn in transcript.completed.turns)
