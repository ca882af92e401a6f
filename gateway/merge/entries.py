"""A word on its way through merging."""

from dataclasses import dataclass, field

from gateway.merge.attribution import Evidence
from gateway.merge.data import AttributedWord, Word
from gateway.merge.sequence import START, Standing


@dataclass(slots=True, eq=False)
class Preview:
    """A segment that was sent and is not final; its words, and the speaker it was sent with."""

    segment_id: str
    revision: int
    speaker: str
    entries: list["Entry"]


@dataclass(slots=True, eq=False)
class Entry:
    """A word with what is known about it so far. Words that start together keep the order in which they came."""

    word: Word
    order: int
    # What the turns say so far; None where they are not known far enough.
    guess: Evidence | None = None
    standing: Standing = START
    # Provisional until `settled`, and so is `overlapping`.
    speaker: str = ""
    overlapping: tuple[str, ...] = field(default=())
    settled: bool = False
    preview: Preview | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.word.start, self.order

    def attributed(self) -> AttributedWord:
        return AttributedWord(self.word, self.speaker, self.overlapping)
