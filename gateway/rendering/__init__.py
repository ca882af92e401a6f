"""Transcripts as people and programs want to read them.

Every renderer is a pure function of one `TranscribeFileResponse`, the transcript in one message, and of the recording's
name. Times are taken from the message exactly and rounded once, to the millisecond, on the way out.
"""

from collections.abc import Callable, Mapping

from gateway.rendering.document import render_json
from gateway.rendering.formats import OutputFormat
from gateway.rendering.rttm import render_rttm
from gateway.rendering.subtitles import render_srt, render_vtt
from gateway.rendering.text import render_text
from speech.gateway.v1.gateway_pb2 import TranscribeFileResponse

__all__ = ["OutputFormat", "render"]


_RENDERERS: Mapping[OutputFormat, Callable[[TranscribeFileResponse, str], str]] = {
    OutputFormat.TEXT: lambda transcript, _name: render_text(transcript),
    OutputFormat.JSON: lambda transcript, _name: render_json(transcript),
    OutputFormat.SRT: lambda transcript, _name: render_srt(transcript),
    OutputFormat.VTT: lambda transcript, _name: render_vtt(transcript),
    OutputFormat.RTTM: render_rttm,
}


def render(transcript: TranscribeFileResponse, output_format: OutputFormat, *, name: str) -> str:
    """The whole transcript of the recording `name`, as text that ends with a line end unless it is empty."""
    return _RENDERERS[output_format](transcript, name)
