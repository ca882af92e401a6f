"""Segments cut into cues: pieces of text short enough to be read while they are heard.

The limits are those of common subtitling guides: two lines of 42 characters, at most 7 seconds. A segment that is
longer is cut after the last sentence that fits, else after the last clause, else after the last word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.rendering.clock import milliseconds
from speech.gateway.v1.gateway_pb2 import Segment

LINE_CHARACTERS = 42
MAX_CHARACTERS = 2 * LINE_CHARACTERS
MAX_MS = 7_000

_SENTENCE_ENDS = (
    ".",
    "?",
    "!",
    "…",
    "\N{IDEOGRAPHIC FULL STOP}",
    "\N{FULLWIDTH QUESTION MARK}",
    "\N{FULLWIDTH EXCLAMATION MARK}",
)
_CLAUSE_ENDS = (",", ";", ":", "\N{EN DASH}", "\N{EM DASH}", "\N{IDEOGRAPHIC COMMA}", "\N{FULLWIDTH COMMA}")
_CLOSING = "\"'\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}»)]"


@dataclass(frozen=True, slots=True)
class CueWord:
    """A word as it is shown: never empty, without spaces. Times in milliseconds."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Cue:
    """Words of one speaker that are shown together, `start_ms` ≤ time < `end_ms`. `speaker` is empty while unknown."""

    speaker: str
    start_ms: int
    end_ms: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def lines(self) -> list[str]:
        """The text in one line, or in two of about the same length where one would be too long."""
        text = self.text
        if len(text) <= LINE_CHARACTERS or len(self.words) == 1:
            return [text]
        breaks = [i for i, character in enumerate(text) if character == " "]
        middle = min(breaks, key=lambda i: abs(2 * i - len(text)))
        return [text[:middle], text[middle + 1 :]]


def cues(segments: Iterable[Segment]) -> list[Cue]:
    """All cues in order: each starts after the one before it, lasts at least 1 ms and ends before the next starts."""
    return _without_overlaps([cue for segment in segments for cue in _segment_cues(segment)])


def _segment_cues(segment: Segment) -> Iterator[Cue]:
    words = _shown_words(segment)
    while words:
        count = _cut(words)
        shown, words = words[:count], words[count:]
        texts = tuple(word.text for word in shown)
        end = max(word.end_ms for word in shown)
        yield Cue(segment.speaker, shown[0].start_ms, end, texts)


def _shown_words(segment: Segment) -> list[CueWord]:
    return [
        CueWord(part, milliseconds(word.start), milliseconds(word.end))
        for word in segment.words
        for part in word.text.split()
    ]


def _cut(words: Sequence[CueWord]) -> int:
    """How many of the words make the next cue; at least one."""
    fitting = _fitting(words)
    if fitting == len(words):
        return fitting
    sentence = _last_ending_with(words[:fitting], _SENTENCE_ENDS)
    clause = _last_ending_with(words[:fitting], _CLAUSE_ENDS)
    return sentence or (clause if 2 * clause >= fitting else fitting)


def _fitting(words: Sequence[CueWord]) -> int:
    length = len(words[0].text)
    for count, word in enumerate(words[1:], start=1):
        length += 1 + len(word.text)
        if length > MAX_CHARACTERS or word.end_ms - words[0].start_ms > MAX_MS:
            return count
    return len(words)


def _last_ending_with(words: Sequence[CueWord], ends: tuple[str, ...]) -> int:
    """Number of words up to the last one with such an end, 0 where there is none."""
    for count in range(len(words), 0, -1):
        if words[count - 1].text.rstrip(_CLOSING).endswith(ends):
            return count
    return 0


def _without_overlaps(found: Sequence[Cue]) -> list[Cue]:
    """Words of two people may overlap by a little; one cue at a time is on the screen."""
    starts: list[int] = []
    for cue in found:
        starts.append(max(cue.start_ms, starts[-1] + 1) if starts else cue.start_ms)
    following = [*starts[1:], None][: len(found)]
    return [
        replace(cue, start_ms=start, end_ms=_end(cue.end_ms, start, after))
        for cue, start, after in zip(found, starts, following, strict=True)
    ]


def _end(end_ms: int, start_ms: int, next_start_ms: int | None) -> int:
    wanted = max(end_ms, start_ms + 1)
    return wanted if next_start_ms is None else min(wanted, next_start_ms)
