"""Turns in order of start, and quick ways to those around a moment."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from gateway.merge.data import Span, Turn


class Timeline:
    """One list of turns, patched where it changes. Turns may overlap each other.

    Every question takes a `limit`: turns that start at or after it are not known yet.
    """

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._starts: list[int] = []
        # For each turn, the one of it and those before it that ends last, and that one's end: the ends rise.
        self._latest: list[Turn] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns)

    def replace_range(self, since: int, until: int, turns: Iterable[Turn]) -> Span | None:
        """Replace the turns that start from `since` on and before `until`. Returns where it makes a difference, if it does.

        Turns without length are left out, and so are those that start outside.
        """
        added = sorted(
            (turn for turn in turns if since <= turn.start < until and turn.start < turn.end),
            key=lambda turn: turn.start,
        )
        first, last = bisect_left(self._starts, since), bisect_left(self._starts, until)
        difference = _difference(self._turns[first:last], added)
        self._turns[first:last] = added
        self._starts[first:last] = [turn.start for turn in added]
        self._latest[first:last] = added
        self._ends[first:last] = [turn.end for turn in added]
        self._find_latest(first, first + len(added))
        return difference

    def starting(self, since: int, until: int) -> list[Turn]:
        """Turns that start from `since` on and before `until`."""
        return self._turns[bisect_left(self._starts, since) : bisect_left(self._starts, until)]

    def overlapping(self, start: int, end: int, limit: int) -> Iterator[Turn]:
        """Turns that share some time with start to end, in order of start."""
        for index in range(bisect_right(self._ends, start), bisect_left(self._starts, min(end, limit))):
            if self._turns[index].end > start:
                yield self._turns[index]

    def last_before(self, moment: int, limit: int) -> Turn | None:
        """Of the turns that have started by `moment`, the one that ends last."""
        started = min(bisect_right(self._starts, moment), bisect_left(self._starts, limit))
        return self._latest[started - 1] if started else None

    def first_from(self, moment: int, limit: int) -> Turn | None:
        """The first turn that starts at or after `moment`."""
        index = bisect_left(self._starts, moment)
        return self._turns[index] if index < bisect_left(self._starts, limit) else None

    def _find_latest(self, first: int, last: int) -> None:
        """Where turns between two places are new: these, and those behind them as far as it changes anything."""
        latest = self._latest[first - 1] if first else None
        for index in range(first, len(self._turns)):
            turn = self._turns[index]
            if latest is None or turn.end > latest.end:
                latest = turn
            if index >= last and self._latest[index] == latest:
                return
            self._latest[index], self._ends[index] = latest, latest.end


def _difference(old: list[Turn], new: list[Turn]) -> Span | None:
    """What holds everything in which two lists differ. A turn that ends at another time is the same up to there."""
    both = set(old) & set(new)
    gone, come = _ends(old, both), _ends(new, both)
    if not gone and not come:
        return None
    begins = [
        min(gone[key] + come[key]) if key in gone and key in come else key[0]
        for key in gone.keys() | come.keys()
    ]
    return Span(min(begins), max(end for ends in (*gone.values(), *come.values()) for end in ends))


def _ends(turns: list[Turn], besides: set[Turn]) -> dict[tuple[int, str], list[int]]:
    """By start and speaker."""
    ends: dict[tuple[int, str], list[int]] = {}
    for turn in turns:
        if turn not in besides:
            ends.setdefault((turn.start, turn.speaker), []).append(turn.end)
    return ends
