"""Who says words that follow each other: the sequence of speakers that is likeliest as a whole.

A word speaks for those in whose turns it lies; a change of speaker speaks against a sequence, little where a sentence or a
long pause ends, much within a sentence. So a word at the edge of a turn, or under two turns at once, goes with its
sentence, and a flicker of the turns does not cut a sentence apart. The likeliest sequence is found by dynamic programming
(Viterbi, 1967): forward, how far each speaker's likeliest sequence is behind the best one; backward, who it was.

Speakers need not be known beforehand: those who were not heard are all alike.
"""

from typing import NamedTuple

from gateway.merge.attribution import Evidence
from gateway.merge.data import MergeOptions, Word
from gateway.merge.sentences import ends_sentence


class Standing(NamedTuple):
    """How the sequences compare that end with a word, each with another speaker of it."""

    # Whose sequence is the likeliest; "" where nobody has been heard.
    best: str
    # How far those of others are behind it, in thousandths of a nat.
    behind: tuple[tuple[str, int], ...]
    # How far that of anybody else is.
    others: int
    # Words since a sentence ended, up to so many that the text seems to have no punctuation.
    since_end: int


_NO_PUNCTUATION = 50

START = Standing("", (), 0, _NO_PUNCTUATION)


def change_cost(standing: Standing, word: Word, next_start: int, options: MergeOptions) -> int:
    """What speaks against another speaker of the word that follows `word` and starts at `next_start`."""
    if standing.since_end == 0 or next_start - word.end > options.max_pause:
        return options.change_after_sentence
    if standing.since_end == _NO_PUNCTUATION:
        return options.change_without_sentences
    return options.change_within_sentence


def following(standing: Standing, cost: int, heard: Evidence, text: str) -> Standing:
    """The standing at the next word. Of equals the speaker so far comes first, else who was heard first."""
    unheard = -min(standing.others, cost)
    totals = {standing.best: 0} | {who: -min(behind, cost) for who, behind in standing.behind}
    for who, gain in heard.gains.items():
        totals[who] = totals.get(who, unheard) + gain
    best = max(totals, key=totals.__getitem__)
    top = totals.pop(best)
    others = top - unheard
    behind = tuple((who, top - total) for who, total in totals.items() if top - total != others)
    since_end = 0 if ends_sentence(text) else min(standing.since_end + 1, _NO_PUNCTUATION)
    return Standing(best, behind, others, since_end)


def is_decided(standing: Standing, cost: int) -> bool:
    """Whether the word is the best one's whoever says the next, if a change costs so much there."""
    return all(behind >= cost for _, behind in standing.behind) and standing.others >= cost


def speaker_before(standing: Standing, cost: int, speaker: str) -> str:
    """Who said the word, if the next one is `speaker`'s."""
    behind = 0 if speaker == standing.best else dict(standing.behind).get(speaker, standing.others)
    return speaker if behind < cost else standing.best
