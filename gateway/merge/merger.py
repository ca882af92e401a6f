"""Puts words and turns together as they come, and knows what nothing later can change."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.merge.data import FOREVER, MergeOptions, Segment, Span, Turn, TurnsPatch, Word
from gateway.merge.entries import Entry
from gateway.merge.known_turns import KnownTurns
from gateway.merge.labels import Labels
from gateway.merge.previews import Previews
from gateway.merge.runs import RunBuilder


class Merger:
    """Merges one recording. Every method returns the segments that are to be sent because of it, in order.

    The final segments depend on the words and turns alone, not on the order in which the two stages reported them.
    With `final_only`, nothing else is sent. The work of a call grows with what it changes, not with the recording:
    words are forgotten as soon as their segment is final.
    """

    def __init__(self, options: MergeOptions, *, final_only: bool = False) -> None:
        self._final_only = final_only
        self._known = KnownTurns(options)
        self._previews = Previews(options)
        self._runs = RunBuilder(options)
        # Words not in a final segment yet.
        self._labels = Labels(self._known, options)
        self._words_added = 0
        self._longest_word = 0
        # No word that starts before it is still to come.
        self._heard_until = 0

    @property
    def turns(self) -> list[Turn]:
        """The turns known so far, overlaps included."""
        return self._known.turns

    def add_words(self, words: Iterable[Word]) -> list[Segment]:
        """Words as they were recognised, in any order. What starts before `heard_until` is moved there."""
        added = [self._entry(word) for word in words]
        for entry in added:
            insort(self._labels.entries, entry, key=_key)
        return self._advance([Span(entry.word.start, entry.word.start) for entry in added])

    def heard_until(self, time: int) -> list[Segment]:
        """All words that start before `time` have been added."""
        self._heard_until = max(self._heard_until, time)
        return self._settle([])

    def end_words(self) -> list[Segment]:
        """All words have been added, or no more will come."""
        return self.heard_until(FOREVER)

    def patch_turns(self, patch: TurnsPatch) -> list[Segment]:
        """Turns as they were found. What is final already stays as it was sent."""
        return self._advance(self._starts(self._known.patch(patch)))

    def end_turns(self, *, failed: bool = False) -> list[Segment]:
        """All turns are known; or diarization `failed`, and what its final turns do not tell stays unknown."""
        return self._advance(self._starts(self._known.end(failed=failed)))

    def _entry(self, word: Word) -> Entry:
        start = max(word.start, self._heard_until)
        word = replace(word, start=start, end=max(start, word.end))
        self._longest_word = max(self._longest_word, word.end - word.start)
        self._words_added += 1
        return Entry(word, self._words_added)

    def _starts(self, changed: list[Span]) -> list[Span]:
        """Where words start that reach into these spans."""
        return [Span(start - self._longest_word, end) for start, end in changed]

    def _advance(self, changed: list[Span]) -> list[Segment]:
        """Send what follows from a change to words that start in these spans, or to what is known of them."""
        return self._settle([] if self._final_only else self._labels.guess(self._places(changed)))

    def _places(self, changed: list[Span]) -> Iterator[tuple[int, int]]:
        """Where words that start in these spans stand, as far as they have no final speaker; no place twice."""
        entries, reached = self._labels.entries, self._labels.decided
        for start, end in sorted(changed):
            first = max(reached, bisect_left(entries, (start, 0), key=_key))
            reached = max(first, bisect_left(entries, (end + 1, 0), key=_key))
            yield first, reached

    def _settle(self, touched: list[Entry]) -> list[Segment]:
        """Send final segments, and after them the previews of `touched` words that are not as they were sent."""
        decided = self._labels.decide(self._heard_until)
        complete = [run for entry in decided for run in self._runs.push(entry)]
        complete += self._runs.end_before(self._next_start())
        for run in complete:
            for entry in run:
                entry.settled = True
        self._labels.take(sum(len(run) for run in complete))
        return self._previews.settle(complete) + self._shown(dict.fromkeys(decided + touched))

    def _next_start(self) -> int:
        """When the next word without a final speaker starts at the earliest."""
        undecided = self._labels.entries[self._labels.decided : self._labels.decided + 1]
        return min([self._heard_until, *(entry.word.start for entry in undecided)])

    def _shown(self, touched: Iterable[Entry]) -> list[Segment]:
        if self._final_only:
            return []
        unsettled = [entry for entry in touched if not entry.settled]
        refreshed = self._previews.refresh(unsettled)
        return refreshed + self._previews.show([entry for entry in unsettled if entry.preview is None])


def _key(entry: Entry) -> tuple[int, int]:
    return entry.key
