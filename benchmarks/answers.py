"""Transcripts in the form in which they are scored."""

from benchmarks.corpus import Turn
from gateway.client import Transcript
from serving.times import seconds


def attributed_words(transcript: Transcript) -> list[tuple[str, str]]:
    """(speaker, word), in order of time."""
    return [(word.speaker, word.text) for segment in transcript.segments for word in segment.words]


def found_turns(transcript: Transcript) -> list[Turn]:
    """Who spoke when; nothing before the transcript is complete."""
    turns = transcript.completed.turns if transcript.completed else []
    return [Turn(seconds(turn.span.start), seconds(turn.span.end), turn.speaker) for turn in turns]
