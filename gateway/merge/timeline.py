"""Turns in order of start, and quick ways to those around a moment."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from gateway.merge.data import Turn


class Timeline:
    """One list of turns, patched from its end. Turns may overlap each other.

    Every question takes a `limit`: turns that start at or after it are not known yet.
    """

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._starts: list[int] = []
        # For each turn, the latest end among it and those before it, and whose end that is: both rise.
        self._ends: list[int] = []
        self._last_to_end: list[int] = []

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns)

    def replace_from(self, since: int, turns: Iterable[Turn]) -> None:
        """Drop the turns that start at or after `since` and add these; turns without length are left out."""
        self._truncate(bisect_left(self._starts, since))
        added = sorted((turn for turn in turns if turn.start < turn.end), key=lambda turn: turn.start)
        if added:
            place = bisect_right(self._starts, added[0].start)
            later = self._turns[place:]
            self._truncate(place)
            added = sorted(later + added, key=lambda turn: turn.start)
        for turn in added:
            self._append(turn)

    def overlapping(self, start: int, end: int, limit: int) -> Iterator[Turn]:
        """Turns that share some time with start to end, in order of start."""
        for index in range(bisect_right(self._ends, start), bisect_left(self._starts, min(end, limit))):
            if self._turns[index].end > start:
                yield self._turns[index]

    def last_before(self, moment: int, limit: int) -> Turn | None:
        """Of the turns that have started by `moment`, the one that ends last."""
        started = min(bisect_right(self._starts, moment), bisect_left(self._starts, limit))
        return self._turns[self._last_to_end[started - 1]] if started else None

    def first_from(self, moment: int, limit: int) -> Turn | None:
        """The first turn that starts at or after `moment`."""
        index = bisect_left(self._starts, moment)
        return self._turns[index] if index < bisect_left(self._starts, limit) else None

    def _truncate(self, length: int) -> None:
        for column in (self._turns, self._starts, self._ends, self._last_to_end):
            del column[length:]

    def _append(self, turn: Turn) -> None:
        index = len(self._turns)
        ends_last = not self._ends or turn.end > self._ends[-1]
        self._ends.append(turn.end if ends_last else self._ends[-1])
        self._last_to_end.append(index if ends_last else self._last_to_end[-1])
        self._turns.append(turn)
        self._starts.append(turn.start)
