"""When words were spoken: pure, in seconds from the start of the utterance.

Models differ: some measure a start for each token, TDT models a duration too, Whisper's cross-attention drifts over
silences (a word at 3.3 s came out as 2.6 s) and begins words late behind short pauses, others give nothing. Voice activity
knows where the silences are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from asr_service.engines.base import Token
from asr_service.spelling import SpelledWord

# Speech goes on for a moment after voice activity lets go of it, and emission times of tokens come late.
_REGION_SLACK = 0.1
_LONGEST_LAST_TOKEN = 0.6
# A word belongs to the first region that it shares this much with.
_SHARED = 0.1
# Voice activity lets go within words, as between the halves of a stop consonant.
_PAUSE_IN_WORD = 0.3
# The voice that sets in this long before a region's first word is that word's. Whisper's words are late by 0.1 s behind a
# short pause; of 934 that open a phrase, the median error went from 89 to 28 ms (benchmarks/attribution.py).
_LATE = 0.3
# Where a model gives a word no time at all.
_SHORTEST_WORD = 0.05


@dataclass(frozen=True)
class Span:
    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start

    def overlap(self, other: "Span") -> float:
        return min(self.end, other.end) - max(self.start, other.start)


def measured(
    words: Sequence[SpelledWord], tokens: Sequence[Token], regions: Sequence[Span], length: float
) -> list[Span]:
    """By the tokens' own times, which can be trusted; ends that the model does not say stop with the voice."""
    spans = [Span(start, end) for start, end in token_times(words, tokens, length)]
    if any(token.duration is not None for token in tokens):
        return _in_order(spans, length)
    return _in_order([_shortened(span, regions) for span in spans], length)


def corrected(
    words: Sequence[SpelledWord], tokens: Sequence[Token], regions: Sequence[Span], length: float
) -> list[Span]:
    """By token times that drift over silences: each word moves into the speech that it overlaps or precedes.

    The first one there begins with the voice.
    """
    spans = [Span(start, end) for start, end in token_times(words, tokens, length)]
    return _in_order(_with_the_voice([_into_speech(span, regions) for span in spans], regions), length)


def estimated(words: Sequence[SpelledWord], regions: Sequence[Span], length: float) -> list[Span]:
    """Spread over the voiced time by the words' lengths."""
    voiced = list(regions) or [Span(0.0, length)]
    sizes = [len(word.text) for word in words]
    total = sum(region.length for region in voiced)
    bounds = [total * size / max(1, sum(sizes)) for size in accumulate(sizes, initial=0)]
    spans = [Span(_at(voiced, start), _at(voiced, end)) for start, end in pairwise(bounds)]
    return _in_order([_into_speech(span, regions) for span in spans], length)


def token_times(
    words: Sequence[SpelledWord], tokens: Sequence[Token], length: float
) -> Iterator[tuple[float, float]]:
    """As the model has them: start of each word's first token, end of its last: by its duration, or where the next token starts."""
    starts = [token.start or 0.0 for token in tokens]
    for word in words:
        last = word.tokens[-1]
        end = min(starts[last + 1] if last + 1 < len(starts) else length, length)
        if (duration := tokens[last].duration) is not None:
            end = starts[last] + duration
        yield starts[word.tokens[0]], end


def _shortened(span: Span, regions: Sequence[Span]) -> Span:
    """Without the silence behind it."""
    for region in regions:
        if region.start - _REGION_SLACK <= span.start < region.end + _REGION_SLACK:
            return Span(span.start, min(span.end, region.end + _REGION_SLACK))
    return Span(span.start, min(span.end, span.start + _LONGEST_LAST_TOKEN))


def _into_speech(span: Span, regions: Sequence[Span]) -> Span:
    """From the first region that it really shares, over short pauses, to where the voice stops.

    Without any, moved to the start of the next region, or the end of the last.
    """
    shared = [region for region in regions if region.overlap(span) > 0]
    if not shared:
        return _moved(span, regions)
    enough = min(_SHARED, max(region.overlap(span) for region in shared))
    while shared[0].overlap(span) < enough:
        del shared[0]  # the drift's reach into speech before the word
    end = shared[0].end
    for region in shared[1:]:
        if region.start - end > _PAUSE_IN_WORD:
            break
        end = region.end
    return Span(max(span.start, shared[0].start), min(span.end, end))


def _with_the_voice(spans: Sequence[Span], regions: Sequence[Span]) -> list[Span]:
    """Each region's first word from where the region begins, if that is shortly before it."""
    moved: list[Span] = []
    for span in spans:
        before = moved[-1].start if moved else -math.inf
        onset = next(
            (region.start for region in regions if region.start <= span.start < region.end), span.start
        )
        is_late = before < onset and span.start - onset <= _LATE
        moved.append(Span(onset, span.end) if is_late else span)
    return moved


def _moved(span: Span, regions: Sequence[Span]) -> Span:
    for region in regions:
        if span.start <= region.end:
            edge = max(span.start, region.start)
            return Span(edge, edge)
    return Span(regions[-1].end, regions[-1].end) if regions else span


def _at(regions: Sequence[Span], voiced: float) -> float:
    """The time at which so much has been spoken."""
    for region in regions:
        if voiced <= region.length:
            return region.start + voiced
        voiced -= region.length
    return regions[-1].end


def _in_order(spans: Sequence[Span], length: float) -> list[Span]:
    """Inside the utterance, none before or over the one before; those that start together share the time."""
    starts = list(accumulate((min(max(span.start, 0.0), length) for span in spans), max))
    ordered: list[Span] = []
    while (position := len(ordered)) < len(spans):
        start = starts[position]
        together = starts.count(start)
        after = position + together
        end = max(span.end for span in spans[position:after])
        if end <= start:
            end = start + together * _SHORTEST_WORD
        limit = starts[after] if after < len(starts) else length
        ordered.extend(_shares(Span(start, min(end, limit)), together))
    return ordered


def _shares(span: Span, count: int) -> list[Span]:
    bounds = [span.start + span.length * index / count for index in range(count)] + [span.end]
    return [Span(start, end) for start, end in pairwise(bounds)]
