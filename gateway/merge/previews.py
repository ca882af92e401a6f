"""Which segments were sent before they were final, and what takes their place."""

from collections.abc import Iterable, Sequence

from gateway.merge.data import MergeOptions, Segment
from gateway.merge.entries import Entry, Preview
from gateway.merge.runs import runs


class Previews:
    """Numbers segments, and keeps every word in at most one segment that is not superseded.

    Previews are not joined or prolonged when more words come: each is sent again only where its speaker or its extent
    changed, so that the work for a word does not depend on how long its speaker goes on.
    """

    def __init__(self, options: MergeOptions) -> None:
        self._options = options
        self._numbered = 0

    def show(self, entries: Sequence[Entry], supersedes: tuple[str, ...] = ()) -> list[Segment]:
        """Preview words, in order of time, that are in no preview yet."""
        return [self._preview(run, supersedes) for run in runs(entries, self._options)]

    def refresh(self, entries: Iterable[Entry]) -> list[Segment]:
        """Preview again what holds one of these words, where their speakers are not those that were sent.

        One that the turns have not passed yet waits: else it would fall to pieces as they go through it.
        """
        return [segment for preview in _previews(entries) for segment in self._refreshed(preview)]

    def settle(self, complete: Sequence[list[Entry]]) -> list[Segment]:
        """Final segments for these runs; previews that lose only some of their words to them shrink."""
        segments = []
        cut: dict[Preview, None] = {}
        for run in complete:
            previews = _previews(run)
            if len(previews) == 1 and len(previews[0].entries) == len(run):
                segments.append(self._revised(previews[0]))
            else:
                segments.append(self._final(run, previews))
                cut.update(dict.fromkeys(previews))
        for preview in cut:
            rest = [entry for entry in preview.entries if not entry.settled]
            segments += self.show(rest, (preview.segment_id,))
        return segments

    def _preview(self, run: list[Entry], supersedes: tuple[str, ...]) -> Segment:
        preview = Preview(self._new_id(), 0, run[0].speaker, run)
        for entry in run:
            entry.preview = preview
        return _segment(preview, final=False, supersedes=supersedes)

    def _refreshed(self, preview: Preview) -> list[Segment]:
        if any(entry.guess is None for entry in preview.entries):
            return []
        speakers = {entry.speaker for entry in preview.entries}
        if len(speakers) > 1:
            return self.show(preview.entries, (preview.segment_id,))
        if speakers == {preview.speaker}:
            return []
        preview.speaker = preview.entries[0].speaker
        preview.revision += 1
        return [_segment(preview, final=False)]

    def _revised(self, preview: Preview) -> Segment:
        preview.revision += 1
        preview.speaker = preview.entries[0].speaker
        return _segment(preview, final=True)

    def _final(self, run: list[Entry], previews: list[Preview]) -> Segment:
        final = Preview(self._new_id(), 0, run[0].speaker, run)
        return _segment(final, final=True, supersedes=tuple(preview.segment_id for preview in previews))

    def _new_id(self) -> str:
        self._numbered += 1
        return f"segment-{self._numbered}"


def _previews(entries: Iterable[Entry]) -> list[Preview]:
    return list(dict.fromkeys(entry.preview for entry in entries if entry.preview is not None))


def _segment(preview: Preview, *, final: bool, supersedes: tuple[str, ...] = ()) -> Segment:
    words = tuple(entry.attributed() for entry in preview.entries)
    return Segment(preview.segment_id, preview.revision, preview.speaker, words, final, supersedes)
