"""One recording on its way through the stages: what arrived, what can be computed next, what is known. NumPy alone.

The caller owns the networks. It feeds audio, takes windows and blocks that are ready, computes them together with those of
other recordings, and hands back the results in the order in which they were taken:

    recording.feed(pcm)                               # whenever audio arrives
    windows = recording.take_windows(most)
    recording.accept_activity(networks.segment(windows))
    blocks = recording.take_blocks(most)
    recording.accept_embeddings(networks.embed(blocks))
    known = recording.early()                         # now and then
    recording.end()                                   # then as above until
    if recording.finished: answer = recording.answer()

One thread at a time may call; `answer` may run on another one than the rest, since nothing else is left to do by then.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from diarization_service.counting import Grid, SpeakerCount
from diarization_service.early_turns import Early, EarlyClustering, EarlyTurns
from diarization_service.final_turns import Answer, Check, answer
from diarization_service.stages import Activity, Block, Floats, Geometry, Windows
from diarization_service.store import Store, masks
from diarization_service.windows import Audio, all_windows, blocks, full_windows
from serving.speakers import SpeakerBounds


class Recording:
    """The state of one recording. Its memory grows by embeddings and packed activity, not by audio."""

    def __init__(
        self,
        geometry: Geometry,
        bounds: SpeakerBounds,
        early: EarlyClustering | None = None,
        block_windows: int = 1,
    ) -> None:
        """`early` None: no early turns. `block_windows` is the networks'."""
        self._geometry = geometry
        self._bounds = bounds
        self._audio = Audio()
        self._ended = False
        self._taken_windows = 0
        self._store = Store(geometry)
        self._count = SpeakerCount(geometry)
        self._blocks = blocks(block_windows)
        self._next_block = next(self._blocks)
        self._ready_blocks: deque[range] = deque()
        self._taken_blocks: deque[range] = deque()
        self._early_turns = None if early is None else EarlyTurns(early, geometry)

    def feed(self, pcm: bytes) -> None:
        """The recording's next 16-bit little-endian mono samples at 16 kHz; any number of bytes, samples may be split.

        Raises ValueError after the end.
        """
        if self._ended:
            raise ValueError("audio after the end of audio")
        self._audio.append(pcm)

    def end(self) -> None:
        """No audio follows."""
        self._ended = True
        self._line_up_blocks()

    @property
    def received(self) -> int:
        """Samples fed so far."""
        return self._audio.samples

    @property
    def held(self) -> int:
        """Samples kept in memory since a window still needs them; what back-pressure is measured by."""
        return self._audio.held

    @property
    def windows(self) -> int:
        """Windows known so far; all of them once the audio has ended."""
        count = all_windows if self._ended else full_windows
        return count(self.received, self._geometry)

    @property
    def segmented(self) -> int:
        """Windows whose activity was accepted."""
        return self._store.windows

    @property
    def embedded(self) -> int:
        """Windows, counted from the first, whose speakers are embedded or that have none."""
        outstanding = self._taken_blocks or self._ready_blocks
        return outstanding[0].start if outstanding else min(self._next_block.start, self.segmented)

    @property
    def finished(self) -> bool:
        """Whether all audio is in and everything was computed, so that `answer` can be asked for."""
        return self._ended and self.embedded == self.windows

    @property
    def ready_windows(self) -> int:
        """Windows that can be taken for segmentation."""
        return self.windows - self._taken_windows

    @property
    def ready_blocks(self) -> int:
        """Blocks that can be taken for embedding."""
        return len(self._ready_blocks)

    def take_windows(self, most: int) -> Windows:
        """The next up to `most` ready windows."""
        first = self._taken_windows
        self._taken_windows += min(most, self.ready_windows)
        return self._windows(range(first, self._taken_windows))

    def accept_activity(self, activity: Activity) -> None:
        """Segmentation of as many windows, those taken longest ago, shape (windows, frames, speakers).

        Raises ValueError for more than were taken.
        """
        if self.segmented + len(activity) > self._taken_windows:
            raise ValueError("activity of windows that were not taken")
        self._store.add_activity(activity)
        self._count.add(activity)
        self._line_up_blocks()

    def take_blocks(self, most: int) -> list[Block]:
        """The next up to `most` ready blocks. Those in which nobody speaks are passed over."""
        taken = [self._ready_blocks.popleft() for _ in range(min(most, self.ready_blocks))]
        self._taken_blocks.extend(taken)
        made = [block for neighbours in _neighbours(taken) for block in self._made(neighbours)]
        self._drop_audio()
        return made

    def accept_embeddings(self, embeddings: list[Floats]) -> None:
        """Embeddings of as many blocks, those taken longest ago, each of shape (windows, speakers, dimension).

        Raises ValueError for more than were taken.
        """
        if len(embeddings) > len(self._taken_blocks):
            raise ValueError("embeddings of blocks that were not taken")
        for found in embeddings:
            self._store.add_embeddings(self._taken_blocks.popleft(), found)

    def early(self) -> Early | None:
        """Who speaks when so far; None where nothing changed since the last call, or without early clustering."""
        if self._early_turns is None:
            return None
        return self._early_turns.update(self._store, self._count, self.embedded, self._bounds.maximum)

    def answer(self, check: Check = lambda: None) -> Answer:
        """Who speaks when, as pyannote.audio's pipeline would have said. Raises ValueError before `finished`.

        Passes on what `check`, called now and then, raises.
        """
        if not self.finished:
            raise ValueError("the answer was asked for before everything was computed")
        return answer(self._store, self._count, Grid(self._geometry), self._bounds, check)

    def _line_up_blocks(self) -> None:
        """Whatever is segmented and belongs to a whole block, or to the recording's last one, can be embedded."""
        while True:
            block = self._next_block
            if self._ended:
                block = range(block.start, min(block.stop, self.windows))
            if not block or block.stop > self.segmented:
                break
            if self._store.speaking[block.start : block.stop].any():
                self._ready_blocks.append(block)
            self._next_block = next(self._blocks)
        self._drop_audio()

    def _made(self, neighbours: Sequence[range]) -> Iterator[Block]:
        """Blocks of neighbouring windows, which have their audio in common."""
        first = neighbours[0].start
        windows = self._windows(range(first, neighbours[-1].stop))
        speaking = masks(self._store.activity(range(first, neighbours[-1].stop)), self._geometry)
        for block in neighbours:
            inside = slice(block.start - first, block.stop - first)
            yield Block(windows.samples, windows.starts[inside], speaking[inside])

    def _windows(self, windows: range) -> Windows:
        step = self._geometry.step
        starts = range(0, len(windows) * step, step)
        reach = starts[-1] + self._geometry.window if starts else 0
        return Windows(self._audio.read(windows.start * step, reach), tuple(starts))

    def _drop_audio(self) -> None:
        """Blocks need it longest: each window is segmented before."""
        needed = self._ready_blocks[0] if self._ready_blocks else self._next_block
        self._audio.drop(needed.start * self._geometry.step)


def _neighbours(blocks: Sequence[range]) -> Iterator[Sequence[range]]:
    """Runs of blocks of which each begins where the one before ends."""
    run: list[range] = []
    for block in blocks:
        if run and block.start != run[-1].stop:
            yield run
            run = []
        run.append(block)
    if run:
        yield run
