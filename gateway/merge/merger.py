"""Puts words and turns together as they come, and knows what nothing later can change."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.merge.attribution import Evidence, label, needs_following
from gateway.merge.data import FOREVER, MergeOptions, Segment, Span, Turn, TurnsPatch, Word
from gateway.merge.entries import Entry
from gateway.merge.known_turns import KnownTurns
from gateway.merge.previews import Previews
from gateway.merge.runs import RunBuilder


class Merger:
    """Merges one recording. Every method returns the segments that are to be sent because of it, in order.

    The final segments depend on the words and turns alone, not on the order in which the two stages reported them.
    With `final_only`, nothing else is sent. The work of a call grows with what it changes, not with the recording:
    words leave `_entries` as soon as their segment is final.
    """

    def __init__(self, options: MergeOptions, *, final_only: bool = False) -> None:
        self._final_only = final_only
        self._known = KnownTurns(options)
        self._previews = Previews(options)
        self._runs = RunBuilder(options)
        # Words not in a final segment yet, in order of time; the first `_labelled` of them have their final speakers.
        self._entries: list[Entry] = []
        self._labelled = 0
        self._last_label = ""
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
            insort(self._entries, entry, key=_key)
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
        return self._settle([] if self._final_only else self._guess_labels(changed))

    # Final segments.

    def _settle(self, touched: list[Entry]) -> list[Segment]:
        """Send final segments, and after them the previews of `touched` words that are not as they were sent."""
        labelled_before = self._labelled
        complete = self._label_words() + self._runs.end_before(self._next_start())
        touched = list(dict.fromkeys(self._entries[labelled_before : self._labelled] + touched))
        for run in complete:
            for entry in run:
                entry.settled = True
        settled = sum(len(run) for run in complete)
        del self._entries[:settled]
        self._labelled -= settled
        return self._previews.settle(complete) + self._shown(touched)

    def _label_words(self) -> list[list[Entry]]:
        """Give words their final speakers for as long as these are certain; returns the runs that this completes."""
        complete = []
        while (speaker := self._next_label()) is not None:
            entry = self._entries[self._labelled]
            entry.speaker = self._last_label = speaker
            entry.guess = entry.verdict
            entry.overlapping = self._known.also_heard(entry.word, speaker, for_good=True)
            self._labelled += 1
            complete += self._runs.push(entry)
        return complete

    def _next_label(self) -> str | None:
        own = self._verdict(self._labelled)
        if own is None:
            return None
        if not needs_following(self._last_label, own):
            return label(self._last_label, own, None)
        following = self._verdict(self._labelled + 1)
        if following is None and not self._is_last(self._labelled):
            return None
        return label(self._last_label, own, following)

    def _verdict(self, index: int) -> Evidence | None:
        """What the turns say for good about the word at `index`, if no word can come before it any more."""
        if index >= len(self._entries) or self._entries[index].word.start > self._heard_until:
            return None
        entry = self._entries[index]
        if entry.verdict is None:
            entry.verdict = self._known.verdict(entry.word)
        return entry.verdict

    def _is_last(self, index: int) -> bool:
        return self._heard_until == FOREVER and index == len(self._entries) - 1

    def _next_start(self) -> int:
        """When the next word without a final speaker starts at the earliest."""
        if self._labelled < len(self._entries):
            return min(self._heard_until, self._entries[self._labelled].word.start)
        return self._heard_until

    # Previews.

    def _shown(self, touched: list[Entry]) -> list[Segment]:
        if self._final_only:
            return []
        unsettled = [entry for entry in touched if not entry.settled]
        refreshed = self._previews.refresh(unsettled)
        return refreshed + self._previews.show([entry for entry in unsettled if entry.preview is None])

    def _guess_labels(self, changed: list[Span]) -> list[Entry]:
        """Speakers as the turns have them so far, where these changed. Returns the words that were looked at."""
        places = list(self._places(changed))
        for first, last in places:
            for entry in self._entries[first:last]:
                entry.guess = self._known.guess(entry.word)
        touched: list[Entry] = []
        reached = self._labelled
        for first, last in places:
            # The word before may lose its speaker to its new neighbour, and those behind may follow the last one.
            reached = max(reached, first - 1)
            while reached < len(self._entries) and (self._relabel(reached) or reached < last):
                touched.append(self._entries[reached])
                reached += 1
        return touched

    def _places(self, changed: list[Span]) -> Iterator[tuple[int, int]]:
        """Where words that start in these spans stand, as far as they have no final speaker; no place twice."""
        reached = self._labelled
        for start, end in sorted(changed):
            first = max(reached, bisect_left(self._entries, (start, 0), key=_key))
            reached = max(first, bisect_left(self._entries, (end + 1, 0), key=_key))
            yield first, reached

    def _relabel(self, index: int) -> bool:
        """Guess the speaker of the word at `index` anew; whether it is another one."""
        entry, before = self._entries[index], self._entries[index].speaker
        previous = self._entries[index - 1].speaker if index > 0 else self._last_label
        following = self._entries[index + 1].guess if index + 1 < len(self._entries) else None
        entry.speaker = "" if entry.guess is None else label(previous, entry.guess, following)
        entry.overlapping = self._known.also_heard(entry.word, entry.speaker, for_good=False)
        return entry.speaker != before


def _key(entry: Entry) -> tuple[int, int]:
    return entry.key
