"""Segments of a recording whose speakers nobody asks for."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.merge.data import AttributedWord, MergeOptions, Segment, Word
from gateway.merge.merger import Merger


class UtteranceMerger(Merger):
    """Waits for no turns: words that were recognised together are a segment, final at once, without a speaker."""

    def __init__(self, options: MergeOptions) -> None:
        super().__init__(options)
        self._numbered = 0
        # Where the last word starts that was sent.
        self._reached = 0

    def add_words(self, words: Iterable[Word]) -> list[Segment]:
        """The words of one utterance. What starts before those that were sent is moved behind them."""
        spoken = tuple(self._spoken(word) for word in sorted(words, key=_start))
        if not spoken:
            return []
        self._numbered += 1
        return [Segment(f"segment-{self._numbered}", 0, "", spoken, speaker_final=True)]

    def _spoken(self, word: Word) -> AttributedWord:
        self._reached = max(self._reached, word.start)
        return AttributedWord(
            replace(word, start=self._reached, end=max(self._reached, word.end)), speaker="", overlapping=()
        )


def _start(word: Word) -> int:
    return word.start
