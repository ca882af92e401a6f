"""Speakers of words in order of time: guessed from the turns so far, and decided once nothing can change them."""

from collections.abc import Iterable

from gateway.merge.data import FOREVER, MergeOptions
from gateway.merge.entries import Entry
from gateway.merge.known_turns import UNKNOWN, KnownTurns
from gateway.merge.sequence import START, Standing, change_cost, following, is_decided, speaker_before


class Labels:
    """Labels `entries`, to which words are added outside, in their places, and from whose front they are taken.

    What is behind words whose evidence is not known begins anew.
    """

    def __init__(self, known: KnownTurns, options: MergeOptions) -> None:
        self._known = known
        self._options = options
        self.entries: list[Entry] = []
        # The first so many have their final speakers.
        self.decided = 0
        # The first so many are known by turns that will not change.
        self._heard = 0
        self._before: Entry | None = None

    def take(self, count: int) -> None:
        """Forget the first words, which are decided."""
        if count:
            self._before = self.entries[count - 1]
            del self.entries[:count]
            self.decided -= count
            self._heard -= count

    def guess(self, places: Iterable[tuple[int, int]]) -> list[Entry]:
        """Label anew where the evidence may be another now, and what follows from it. Returns what was looked at.

        `places` are first and last indices, exclusive, in order and apart from each other, of words not decided.
        """
        places = list(places)
        for first, last in places:
            for entry in self.entries[first:last]:
                entry.guess = self._known.guess(entry.word)
        touched: dict[Entry, None] = {}
        for first, last in places:
            end = self._compare(first, last)
            touched.update(dict.fromkeys(self._relabel(first, end)))
        return sorted(touched, key=lambda entry: entry.key)

    def decide(self, heard_until: int) -> list[Entry]:
        """Give words their final speakers as far as these are certain; no word that starts before `heard_until` will come.

        Returns these words.
        """
        self._hear(heard_until)
        last = self._heard - 1
        while last >= self.decided and not self._is_decided(last, heard_until):
            last -= 1
        for index in range(last, self.decided - 1, -1):
            self.entries[index].speaker = self._label(index, is_last=index == last)
        new = self.entries[self.decided : last + 1]
        for entry in new:
            entry.overlapping = self._known.also_heard(entry.word, entry.speaker, for_good=True)
        self.decided += len(new)
        return new

    def _hear(self, heard_until: int) -> None:
        while self._heard < len(self.entries):
            entry = self.entries[self._heard]
            verdict = self._known.verdict(entry.word) if entry.word.start <= heard_until else None
            if verdict is None:
                return
            entry.guess = None if verdict is UNKNOWN else verdict
            entry.standing = self._standing(self._heard)
            self._heard += 1

    def _is_decided(self, index: int, heard_until: int) -> bool:
        entry = self.entries[index]
        if entry.guess is None or (heard_until == FOREVER and index == len(self.entries) - 1):
            return True
        if index + 1 < self._heard:
            cost = self._change(entry, self.entries[index + 1])
        else:
            starts = [other.word.start for other in self.entries[index + 1 : index + 2]]
            next_start = min(heard_until, *starts, FOREVER)
            cost = change_cost(entry.standing, entry.word, next_start, self._options)
        return is_decided(entry.standing, cost)

    def _compare(self, first: int, last: int) -> int:
        """Standings anew from `first` on, until behind `last` they are as they were; returns where that is."""
        for index in range(first, len(self.entries)):
            standing = self._standing(index)
            if index >= last and standing == self.entries[index].standing:
                return index
            self.entries[index].standing = standing
        return len(self.entries)

    def _relabel(self, first: int, end: int) -> Iterable[Entry]:
        """Labels anew before `end`, backward, until before `first` they are as they were."""
        for index in range(end - 1, self.decided - 1, -1):
            entry, speaker = self.entries[index], self._label(index)
            if index < first and speaker == entry.speaker:
                return
            entry.speaker = speaker
            entry.overlapping = self._known.also_heard(entry.word, speaker, for_good=False)
            yield entry

    def _standing(self, index: int) -> Standing:
        entry = self.entries[index]
        if entry.guess is None:
            return START
        before = self.entries[index - 1] if index else self._before
        if before is None:
            return following(START, 0, entry.guess, entry.word.text)
        return following(before.standing, self._change(before, entry), entry.guess, entry.word.text)

    def _label(self, index: int, *, is_last: bool = False) -> str:
        entry = self.entries[index]
        if entry.guess is None or is_last or index + 1 == len(self.entries):
            return entry.standing.best
        after = self.entries[index + 1]
        return speaker_before(entry.standing, self._change(entry, after), after.speaker)

    def _change(self, before: Entry, after: Entry) -> int:
        if before.guess is None or after.guess is None:
            return 0
        return change_cost(before.standing, before.word, after.word.start, self._options)
