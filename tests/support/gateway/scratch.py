"""Merging without memory: everything that was reported is merged anew whenever somebody asks."""

from collections.abc import Iterable

from gateway.merge import MergeOptions, Merger, Turn, TurnsPatch, Word


class Scratch:
    """Takes the reports that a Merger takes."""

    def __init__(self) -> None:
        self._words: list[Word] = []
        self._turns: list[Turn] = []
        self._exclusive: list[Turn] = []
        self._horizon = 0
        self._final_horizon = 0

    def add_words(self, words: Iterable[Word]) -> None:
        self._words += words

    def heard_until(self, time: int) -> None: ...

    def end_words(self) -> None: ...

    def patch_turns(self, patch: TurnsPatch) -> None:
        self._turns = _patched(self._turns, patch, patch.turns)
        self._exclusive = _patched(self._exclusive, patch, patch.exclusive)
        self._final_horizon = patch.final_horizon
        self._horizon = patch.horizon

    def end_turns(self, *, failed: bool) -> None:
        if failed:
            self._horizon = self._final_horizon

    def labels(self, options: MergeOptions) -> dict[str, str]:
        """For each word its speaker as far as the turns so far tell."""
        merger = Merger(options)
        whole = TurnsPatch(0, tuple(self._turns), tuple(self._exclusive), self._horizon, self._final_horizon)
        merger.patch_turns(whole)
        return {
            attributed.word.text: attributed.speaker
            for segment in merger.add_words(self._words)
            for attributed in segment.words
        }


def _patched(turns: list[Turn], patch: TurnsPatch, told: Iterable[Turn]) -> list[Turn]:
    return [*(turn for turn in turns if not patch.since <= turn.start < patch.until), *told]
