"""A transcript for people: one line a segment."""

from gateway.rendering.clock import milliseconds, short_clock
from speech.gateway.v1.gateway_pb2 import Segment, TranscribeFileResponse


def segment_line(segment: Segment) -> str:
    """`[0:06.7 - 0:07.1] SPEAKER_00: Hello.`; no label where the speaker is not known, `SPEAKER_00?` where it may change."""
    start = short_clock(milliseconds(segment.span.start))
    end = short_clock(milliseconds(segment.span.end))
    doubt = "" if segment.speaker_final else "?"
    label = f"{segment.speaker}{doubt}: " if segment.speaker else ""
    return f"[{start} - {end}] {label}{' '.join(segment.text.split())}"


def render_text(transcript: TranscribeFileResponse) -> str:
    """One line a segment, in order of start."""
    return "".join(f"{segment_line(segment)}\n" for segment in transcript.segments)
