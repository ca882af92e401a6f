"""Words and turns in, speaker-attributed segments out. Pure: no I/O, no clock, no asyncio.

data          what goes in and comes out; times are whole nanoseconds, as on the wire, so that nothing is rounded
timeline      turns, and how to find those near a word
known_turns   what they say about a word so far, and for good
attribution   what the turns say about a word by itself
sequence      who says words that follow each other
labels        the same as words and turns come: guessed, and decided
sentences     where a sentence ends
runs          where one segment ends and the next begins
previews      which segments were sent before they were final, and what takes their place
merger        the whole: what can be said now, and what nothing later can change
utterances    the same where nobody asks who speaks
"""

from gateway.merge.data import (
    FOREVER,
    SECOND,
    AttributedWord,
    MergeOptions,
    Segment,
    Span,
    Turn,
    TurnsPatch,
    Word,
)
from gateway.merge.merger import Merger
from gateway.merge.timeline import Timeline
from gateway.merge.utterances import UtteranceMerger

__all__ = [
    "FOREVER",
    "SECOND",
    "AttributedWord",
    "MergeOptions",
    "Merger",
    "Segment",
    "Span",
    "Timeline",
    "Turn",
    "TurnsPatch",
    "UtteranceMerger",
    "Word",
]
