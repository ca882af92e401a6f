"""Where one segment ends and the next begins.

A segment is a run of one speaker's words, divided at long pauses, and at the end of a sentence once it is long.
"""

from collections.abc import Iterable

from gateway.merge.data import MergeOptions
from gateway.merge.entries import Entry
from gateway.merge.sentences import ends_sentence


class RunBuilder:
    """Puts words together one by one, in order of time."""

    def __init__(self, options: MergeOptions) -> None:
        self._options = options
        self._run: list[Entry] = []
        self._end = 0

    def push(self, entry: Entry) -> list[list[Entry]]:
        """Add a word whose speaker is known; returns the runs that it completes."""
        complete = []
        if self._run and (entry.speaker != self._run[0].speaker or self._is_pause_until(entry.word.start)):
            complete.append(self._take())
        self._run.append(entry)
        self._end = max(self._end, entry.word.end)
        if self._is_long() and ends_sentence(entry.word.text):
            complete.append(self._take())
        return complete

    def end_before(self, start: int) -> list[list[Entry]]:
        """The open run, if no word that starts at `start` or later can join it."""
        return [self._take()] if self._run and self._is_pause_until(start) else []

    def flush(self) -> list[list[Entry]]:
        """The open run: no word follows."""
        return [self._take()] if self._run else []

    def _is_pause_until(self, start: int) -> bool:
        return start - self._end > self._options.max_pause

    def _is_long(self) -> bool:
        return self._end - self._run[0].word.start >= self._options.sentence_after

    def _take(self) -> list[Entry]:
        run, self._run, self._end = self._run, [], 0
        return run


def runs(entries: Iterable[Entry], options: MergeOptions) -> list[list[Entry]]:
    """Divide words, in order of time, whose speakers are set."""
    builder = RunBuilder(options)
    complete = [run for entry in entries for run in builder.push(entry)]
    return complete + builder.flush()
