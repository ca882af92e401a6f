"""Subtitles: SubRip (SRT) and WebVTT (https://www.w3.org/TR/webvtt1/)."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from gateway.rendering.clock import subtitle_clock
from gateway.rendering.cues import Cue, cues
from speech.gateway.v1.gateway_pb2 import TranscribeFileResponse


def _times(cue: Cue, decimal_mark: str) -> str:
    start = subtitle_clock(cue.start_ms, decimal_mark=decimal_mark)
    end = subtitle_clock(cue.end_ms, decimal_mark=decimal_mark)
    return f"{start} --> {end}"


def _srt_prefixes(shown: Sequence[Cue]) -> list[str]:
    """SRT knows no speakers, so their label is written before the text, where they change only."""
    speakers = ["", *(cue.speaker for cue in shown)]
    return [f"{now}: " if now and now != before else "" for before, now in pairwise(speakers)]


def render_srt(transcript: TranscribeFileResponse) -> str:
    """Numbered cues, the speaker's label before the text wherever the speaker changes."""
    shown = cues(transcript.segments)
    texts = [prefix + "\n".join(cue.lines()) for prefix, cue in zip(_srt_prefixes(shown), shown, strict=True)]
    numbered = enumerate(zip(shown, texts, strict=True), start=1)
    return "\n".join(f"{number}\n{_times(cue, ',')}\n{text}\n" for number, (cue, text) in numbered)


def _vtt_text(cue: Cue) -> str:
    text = escape("\n".join(cue.lines()), quote=False)
    speaker = escape(" ".join(cue.speaker.split()), quote=False)
    return f"<v {speaker}>{text}</v>" if speaker else text


def render_vtt(transcript: TranscribeFileResponse) -> str:
    """Cues with the speaker as their voice; in text, the letters that WebVTT reads as markup are escaped."""
    blocks = [f"{_times(cue, '.')}\n{_vtt_text(cue)}\n" for cue in cues(transcript.segments)]
    return "\n".join(["WEBVTT\n", *blocks])
