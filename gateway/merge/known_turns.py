"""What diarization has told so far, and what that says about a word."""

from gateway.merge.attribution import Evidence, evidence, overlapping_speakers
from gateway.merge.data import FOREVER, MergeOptions, Span, Turn, TurnsPatch, Word
from gateway.merge.timeline import Timeline

# What is left to say about words that a failed diarization did not reach.
UNKNOWN = Evidence({})


class KnownTurns:
    """Turns with and without overlaps: known up to one horizon, and for good up to another.

    What changes them returns the spans of time in which a word's speaker may be another now.
    """

    def __init__(self, options: MergeOptions) -> None:
        self._options = options
        self._turns = Timeline()
        self._exclusive = Timeline()
        self._horizon = 0
        self._final_horizon = 0
        self._failed = False

    @property
    def turns(self) -> list[Turn]:
        """All of them, overlaps included."""
        return list(self._turns)

    def patch(self, patch: TurnsPatch) -> list[Span]:
        changed = [
            self._turns.replace_range(patch.since, patch.until, patch.turns),
            self._exclusive.replace_range(patch.since, patch.until, patch.exclusive),
        ]
        final = max(self._final_horizon, patch.final_horizon)
        changed.append(self._move(max(patch.horizon, final), final))
        return self._reached_from(changed)

    def end(self, *, failed: bool) -> list[Span]:
        """Nothing more will be told: these are all, or diarization failed and what is not final stays unknown."""
        self._failed = failed
        final = self._final_horizon if failed else FOREVER
        return self._reached_from([self._move(final, final)])

    def guess(self, word: Word) -> Evidence | None:
        """What the turns so far say about a word; None where they are not known far enough."""
        return evidence(word, self._turns, self._exclusive, self._horizon, self._options)

    def verdict(self, word: Word) -> Evidence | None:
        """What they say for good; None while that may change."""
        found = evidence(word, self._turns, self._exclusive, self._final_horizon, self._options)
        return UNKNOWN if found is None and self._failed else found

    def also_heard(self, word: Word, speaker: str, *, for_good: bool) -> tuple[str, ...]:
        limit = self._final_horizon if for_good else self._horizon
        return overlapping_speakers(word, speaker, self._turns, limit)

    def _move(self, horizon: int, final_horizon: int) -> Span | None:
        before, self._horizon, self._final_horizon = self._horizon, horizon, final_horizon
        return Span(min(before, horizon), max(before, horizon)) if horizon != before else None

    def _reached_from(self, changed: list[Span | None]) -> list[Span]:
        reach = self._options.nearest_turn
        return [Span(span.start - reach, span.end + reach) for span in changed if span]
