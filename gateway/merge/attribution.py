"""What the turns say about one word by itself.

Every function takes a `limit`, before which turns are known, and answers None (not known) as long as what comes after the
limit could change the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

from gateway.merge.data import FOREVER, MergeOptions, Turn, Word
from gateway.merge.timeline import Timeline

# How likely a speaker is to say a word that lies in none of their turns, where one in whose turns it lies has 1 more.
_UNHEARD = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much likelier the word is with each speaker than with somebody who is not heard, who gains nothing.

    In thousandths of a nat (natural logarithm), so that sums are exact; in order of the speakers' turns.
    """

    gains: dict[str, int]


NOBODY_NEAR = Evidence({})


def evidence(
    word: Word, turns: Timeline, exclusive: Timeline, limit: int, options: MergeOptions
) -> Evidence | None:
    """None while turns after `limit` could change it.

    Turns with and without overlaps count half each: where several speak, all of them are heard, and one of them most.
    """
    # A word without length is where it starts.
    end = max(word.end, word.start + 1)
    if end > limit:
        return None
    shared: dict[str, int] = {}
    for timeline in (exclusive, turns):
        for turn in timeline.overlapping(word.start, end, limit):
            time = min(end, turn.end) - max(word.start, turn.start)
            shared[turn.speaker] = shared.get(turn.speaker, 0) + time
    if shared:
        return Evidence({who: _gain(time / (2 * (end - word.start))) for who, time in shared.items()})
    return _from_nearest(word, exclusive, limit, options)


def overlapping_speakers(word: Word, speaker: str, turns: Timeline, limit: int) -> tuple[str, ...]:
    """Others heard during the word, in order of their turns' start; none where the speaker is not known."""
    if not speaker or word.end > limit:
        return ()
    return _others(speaker, turns.overlapping(word.start, word.end, limit))


def _others(speaker: str, turns: Iterable[Turn]) -> tuple[str, ...]:
    heard = dict.fromkeys(turn.speaker for turn in turns)
    heard.pop(speaker, None)
    return tuple(heard)


def _from_nearest(word: Word, exclusive: Timeline, limit: int, options: MergeOptions) -> Evidence | None:
    before = exclusive.last_before(word.start, limit)
    after = exclusive.first_from(word.end, limit)
    to_before = FOREVER if before is None else word.start - before.end
    # A turn not known yet starts at the limit or later.
    to_after = limit - word.end if after is None else after.start - word.end
    if before is not None and to_before <= min(to_after, options.nearest_turn):
        return _as_if_in(before)
    if to_after > options.nearest_turn:
        return NOBODY_NEAR
    return None if after is None else _as_if_in(after)


def _as_if_in(turn: Turn) -> Evidence:
    return Evidence({turn.speaker: _gain(1.0)})


def _gain(share: float) -> int:
    return round(1000 * log(1 + share / _UNHEARD))
