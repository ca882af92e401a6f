"""Turns of a later call to diarization, which starts again from the beginning of the recording."""

from dataclasses import replace

from gateway.merge import FOREVER, Span, Timeline, Turn, TurnsPatch


class Continuation:
    """Makes patches to what earlier calls found, of what a later one finds.

    What was final, up to `final`, stays for good. The rest, up to `known`, stays until this call has come as far and is
    replaced at once then: speakers keep the names that they were shown with, and no two calls' names are mixed.
    """

    def __init__(self, *, final: int, known: int) -> None:
        self._final = final
        self._known = known
        self._turns = Timeline()
        self._exclusive = Timeline()
        self._withheld: TurnsPatch | None = None
        self._has_caught_up = False

    def patch(self, patch: TurnsPatch) -> TurnsPatch | None:
        """What this call's patch changes; None while it has not come as far as the earlier ones."""
        self._turns.replace_range(patch.since, patch.until, patch.turns)
        self._exclusive.replace_range(patch.since, patch.until, patch.exclusive)
        if not self._has_caught_up:
            self._has_caught_up = max(patch.horizon, self._final) >= self._known
            self._withheld = replace(patch, since=0, until=FOREVER)
            return self.rest() if self._has_caught_up else None
        return self._changed(patch)

    def rest(self) -> TurnsPatch | None:
        """What was withheld so far, where anything was; for the end of a call that has never come as far."""
        withheld, self._withheld = self._withheld, None
        return self._changed(withheld) if withheld else None

    def _changed(self, patch: TurnsPatch) -> TurnsPatch:
        span = Span(max(patch.since, self._final), patch.until)
        if patch.since < self._final:
            # A turn that goes on behind what is final starts there.
            span = Span(self._final, max(patch.until, self._final + 1))
        return TurnsPatch(
            since=span.start,
            until=span.end,
            turns=self._within(span, self._turns),
            exclusive=self._within(span, self._exclusive),
            horizon=max(patch.horizon, self._final),
            final_horizon=max(patch.final_horizon, self._final),
        )

    def _within(self, span: Span, timeline: Timeline) -> tuple[Turn, ...]:
        going_on = (
            timeline.overlapping(span.start, span.end, self._final) if span.start == self._final else ()
        )
        cut = [replace(turn, start=self._final) for turn in going_on]
        return (*cut, *timeline.starting(span.start, span.end))
