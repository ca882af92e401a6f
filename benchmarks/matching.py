"""Which recognised word is which spoken one: the alignment that both words and times speak for."""

from collections.abc import Sequence

import numpy as np

# A recognised word further from a spoken one than this, in seconds, is not that word.
_FURTHEST = 1.5


def matches(spoken: Sequence[tuple[float, str]], heard: Sequence[tuple[float, str]]) -> list[tuple[int, int]]:
    """Pairs (index of a spoken word, index of a recognised one), in order: equal texts, at about the same time.

    Words are (start in seconds, normalized text), in order of start. As many as possible are matched; of equally many, those
    whose starts differ least (dynamic programming, as for a word error rate that honours times).
    """
    gains = [_gains(word, heard) for word in spoken]
    best = np.zeros((len(spoken) + 1, len(heard) + 1))
    for row, gain in enumerate(gains, 1):
        # Skipping recognised words is a running maximum.
        best[row] = np.maximum.accumulate(
            np.maximum(best[row - 1], np.append(0.0, best[row - 1, :-1] + gain))
        )
    pairs: list[tuple[int, int]] = []
    row, column = len(spoken), len(heard)
    while row and column:
        if best[row, column] == best[row - 1, column]:
            row -= 1
        elif best[row, column] == best[row, column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def _gains(word: tuple[float, str], heard: Sequence[tuple[float, str]]) -> np.ndarray:
    """What matching this word to each recognised one is worth: 1 less a share for the time between, or nothing."""
    start, text = word
    apart = np.array([abs(start - other) for other, _ in heard])
    same = np.array([text == other for _, other in heard], dtype=bool)
    gains: np.ndarray = np.where(same & (apart <= _FURTHEST), 1.0 - 0.1 * apart / _FURTHEST, 0.0)
    return gains
