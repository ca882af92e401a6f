"""Puts words and turns together as they come, and knows what nothing later can change."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import replace

from gateway.merge.attribution import (
    UNKNOWN,
    Evidence,
    evidence,
    label,
    needs_following,
    overlapping_speakers,
)
from gateway.merge.data import FOREVER, MergeOptions, Segment, Turn, TurnsPatch, Word
from gateway.merge.entries import Entry
from gateway.merge.previews import Previews
from gateway.merge.runs import RunBuilder
from gateway.merge.timeline import Timeline


class Merger:
    """Merges one recording. Every method returns the segments that are to be sent because of it, in order.

    The final segments depend on the words and turns alone, not on the order in which the two stages reported them.
    With `final_only`, nothing else is sent. The work of a call grows with what it changes, not with the recording:
    words leave `_entries` as soon as their segment is final.
    """

    def __init__(self, options: MergeOptions, *, final_only: bool = False) -> None:
        self._options = options
        self._final_only = final_only
        self._turns = Timeline()
        self._exclusive = Timeline()
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
        self._horizon = 0
        self._final_horizon = 0
        self._turns_failed = False

    @property
    def turns(self) -> list[Turn]:
        """The turns known so far, overlaps included."""
        return list(self._turns)

    def add_words(self, words: Iterable[Word]) -> list[Segment]:
        """Words as they were recognised, in any order. What starts before `heard_until` is moved there."""
        added = [self._entry(word) for word in words]
        for entry in added:
            insort(self._entries, entry, key=_key)
        return self._advance(min((entry.word.start for entry in added), default=FOREVER), FOREVER)

    def heard_until(self, time: int) -> list[Segment]:
        """All words that start before `time` have been added."""
        self._heard_until = max(self._heard_until, time)
        return self._settle([])

    def end_words(self) -> list[Segment]:
        """All words have been added, or no more will come."""
        return self.heard_until(FOREVER)

    def patch_turns(self, patch: TurnsPatch) -> list[Segment]:
        """Turns as they were found. What is final already stays as it was sent."""
        known_before = self._horizon
        self._turns.replace_from(patch.since, patch.turns)
        self._exclusive.replace_from(patch.since, patch.exclusive)
        self._final_horizon = max(self._final_horizon, patch.final_horizon)
        self._horizon = max(patch.horizon, self._final_horizon)
        changed = min(known_before, patch.since - self._options.nearest_turn)
        return self._advance(changed, max(known_before, self._horizon))

    def end_turns(self, *, failed: bool = False) -> list[Segment]:
        """All turns are known; or diarization `failed`, and what its final turns do not tell stays unknown."""
        known_before = self._horizon
        self._turns_failed = failed
        if not failed:
            self._final_horizon = FOREVER
        self._horizon = self._final_horizon
        return self._advance(min(known_before, self._horizon), max(known_before, self._horizon))

    def _entry(self, word: Word) -> Entry:
        start = max(word.start, self._heard_until)
        word = replace(word, start=start, end=max(start, word.end))
        self._longest_word = max(self._longest_word, word.end - word.start)
        self._words_added += 1
        return Entry(word, self._words_added)

    def _advance(self, changed: int, changed_until: int) -> list[Segment]:
        """Send what follows from a change to the words or the turns between two moments."""
        if self._final_only:
            return self._settle([])
        # The word before them may lose its speaker to its new neighbour.
        first = bisect_left(self._entries, (changed - self._longest_word, 0), key=_key) - 1
        last = bisect_left(self._entries, (changed_until + 1, 0), key=_key)
        touched = self._entries[max(0, first) : last]
        self._guess_labels(max(self._labelled, first), last)
        return self._settle(touched)

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
            entry.overlapping = overlapping_speakers(entry.word, speaker, self._turns, self._final_horizon)
            self._labelled += 1
            complete += self._runs.push(entry)
        return complete

    def _next_label(self) -> str | None:
        own = self._final_evidence(self._labelled)
        if own is None:
            return None
        if not needs_following(self._last_label, own):
            return label(self._last_label, own, None)
        following = self._final_evidence(self._labelled + 1)
        if following is None and not self._is_last(self._labelled):
            return None
        return label(self._last_label, own, following)

    def _final_evidence(self, index: int) -> Evidence | None:
        """What the turns say about the word at `index`, if word and turns are certain."""
        if index >= len(self._entries) or self._entries[index].word.start > self._heard_until:
            return None
        entry = self._entries[index]
        if entry.evidence is None:
            entry.evidence = evidence(entry.word, self._exclusive, self._final_horizon, self._options)
        if entry.evidence is None and self._turns_failed:
            entry.evidence = UNKNOWN
        return entry.evidence

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

    def _guess_labels(self, first: int, last: int) -> None:
        """Speakers as the turns have them so far, for words whose labels are not final."""
        previous = self._entries[first - 1].speaker if first > 0 else self._last_label
        own = self._guess(first)
        for index in range(first, last):
            entry = self._entries[index]
            following = self._guess(index + 1)
            entry.speaker = "" if own is None else label(previous, own, following)
            entry.overlapping = overlapping_speakers(entry.word, entry.speaker, self._turns, self._horizon)
            previous, own = entry.speaker, following

    def _guess(self, index: int) -> Evidence | None:
        if index >= len(self._entries):
            return None
        return evidence(self._entries[index].word, self._exclusive, self._horizon, self._options)


def _key(entry: Entry) -> tuple[int, int]:
    return entry.key
