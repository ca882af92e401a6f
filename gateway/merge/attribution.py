"""Whose word it is.

A word goes to the speaker whose exclusive turns overlap it most; without overlap to the nearest turn within reach, else
to the speaker of the word before it. A single word that differs from both its neighbours keeps its speaker only where
its own turn is long enough: splitting at every flicker repairs little and breaks much.

Every function that looks at turns takes a `limit`, before which they are final, and answers None (not known) as long as
what comes after the limit could change the answer.
"""

from dataclasses import dataclass

from gateway.merge.data import FOREVER, MergeOptions, Turn, Word
from gateway.merge.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the turns say about one word by itself: a label, "" for unknown, or None where nobody is near."""

    speaker: str | None
    # Whether the word's own turn is long enough to stand between two words of others.
    solid: bool


NOBODY_NEAR = Evidence(None, solid=False)

# What is left to say about words that a failed diarization did not reach.
UNKNOWN = Evidence("", solid=False)


def evidence(word: Word, exclusive: Timeline, limit: int, options: MergeOptions) -> Evidence | None:
    """What the exclusive turns say about `word`; None while turns after `limit` could change it."""
    if word.end > limit:
        return None
    turn = _own_turn(word, exclusive, limit)
    if turn is not None:
        return _from_turn(turn, limit, options)
    return _from_nearest(word, exclusive, limit, options)


def needs_following(previous: str, own: Evidence) -> bool:
    """Whether a word's label depends on the word after it. `previous` is the label before it, "" if none."""
    return own.speaker is not None and previous not in ("", own.speaker) and not own.solid


def label(previous: str, own: Evidence, following: Evidence | None) -> str:
    """The word's speaker; `following` is None where no word follows or none needs to be asked."""
    if own.speaker is None:
        return previous
    if not needs_following(previous, own) or following is None:
        return own.speaker
    # A word without evidence takes this word's speaker, and then this word does not stand alone.
    return own.speaker if following.speaker in (None, own.speaker) else previous


def overlapping_speakers(word: Word, speaker: str, turns: Timeline, limit: int) -> tuple[str, ...]:
    """Others heard during the word, in order of their turns' start; none where the speaker is not known."""
    if not speaker or word.end > limit:
        return ()
    heard = dict.fromkeys(turn.speaker for turn in turns.overlapping(word.start, word.end, limit))
    heard.pop(speaker, None)
    return tuple(heard)


def _own_turn(word: Word, exclusive: Timeline, limit: int) -> Turn | None:
    """The longest shared turn of the speaker who shares most of the word; of equals, the first."""
    shared_by_speaker: dict[str, int] = {}
    longest: dict[str, tuple[int, Turn]] = {}
    for turn in exclusive.overlapping(word.start, word.end, limit):
        shared = min(word.end, turn.end) - max(word.start, turn.start)
        shared_by_speaker[turn.speaker] = shared_by_speaker.get(turn.speaker, 0) + shared
        if turn.speaker not in longest or shared > longest[turn.speaker][0]:
            longest[turn.speaker] = (shared, turn)
    if not shared_by_speaker:
        return None
    speaker = max(shared_by_speaker, key=shared_by_speaker.__getitem__)
    return longest[speaker][1]


def _from_nearest(word: Word, exclusive: Timeline, limit: int, options: MergeOptions) -> Evidence | None:
    before = exclusive.last_before(word.start, limit)
    after = exclusive.first_from(word.end, limit)
    to_before = FOREVER if before is None else max(0, word.start - before.end)
    # A turn not known yet starts at the limit or later.
    to_after = limit - word.end if after is None else after.start - word.end
    if before is not None and to_before <= min(to_after, options.nearest_turn):
        return _from_turn(before, limit, options)
    if to_after > options.nearest_turn:
        return NOBODY_NEAR
    return None if after is None else _from_turn(after, limit, options)


def _from_turn(turn: Turn, limit: int, options: MergeOptions) -> Evidence | None:
    solid = min(turn.end, limit) - turn.start >= options.min_exclusive_turn
    if not solid and turn.end >= limit:
        return None  # It may grow.
    return Evidence(turn.speaker, solid)
