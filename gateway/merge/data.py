"""What merging takes and gives. All times are nanoseconds from the start of the recording."""

from dataclasses import dataclass
from typing import NamedTuple

SECOND = 1_000_000_000

# Later than any recording ends.
FOREVER = 1 << 62


class Span(NamedTuple):
    """A span of time, which may begin before the recording."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """Where words and segments are divided."""

    # How far a word without a turn of its own looks for one.
    nearest_turn: int = SECOND // 2
    # What speaks against a change of speaker where a sentence or a long pause ends, within a sentence, and in text without
    # punctuation; in thousandths of a nat. A word in somebody's turn gains 3045 with them over one that nobody hears.
    change_after_sentence: int = 300
    change_within_sentence: int = 3500
    change_without_sentences: int = 1000
    # The longest pause within a segment.
    max_pause: int = SECOND
    # How long a segment gets before it is divided at the end of a sentence.
    sentence_after: int = 15 * SECOND


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was recognised; `timing` is the contract's WordTiming."""

    text: str
    start: int
    end: int
    confidence: float | None = None
    timing: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One person speaking; `confidence` is the contract's, where diarization gives one."""

    start: int
    end: int
    speaker: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TurnsPatch:
    """A change to the turns known so far: those that start at or after `since` and before `until` are replaced.

    Before `horizon` no turn means that nobody spoke; before `final_horizon` nothing changes any more.
    """

    since: int
    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    horizon: int
    final_horizon: int
    until: int = FOREVER


@dataclass(frozen=True, slots=True)
class AttributedWord:
    """A word, who said it ("" while unknown) and who else was heard."""

    word: Word
    speaker: str
    overlapping: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of one speaker's words, ready to be sent; `words` is never empty."""

    segment_id: str
    revision: int
    speaker: str
    words: tuple[AttributedWord, ...]
    speaker_final: bool
    supersedes: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        return self.words[0].word.start

    @property
    def end(self) -> int:
        return max(attributed.word.end for attributed in self.words)

    @property
    def text(self) -> str:
        return " ".join(attributed.word.text for attributed in self.words)
