"""One recording on its way through the stages: what arrived, what can be computed next, what is known. NumPy alone.

The caller owns the networks. It feeds audio, takes windows and blocks that are ready, computes them together with those of
other recordings, and hands back the results in the order in which they were taken:

    recording.feed(pcm)                               # whenever audio arrives
    samples = recording.take_windows(most)            # (windows, samples)
    recording.accept_activity(networks.segment(samples))
    blocks = recording.take_blocks(most)
    recording.accept_embeddings(networks.embed(blocks))
    known = recording.early()                         # now and then
    recording.end()                                   # then as above until
    if recording.finished: answer = recording.answer()

One thread at a time may call; `answer` may run on another one than the rest, since nothing else is left to do by then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Activity, Block, Floats, Geometry
from serving.speakers import SpeakerBounds

Check = Callable[[], None]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Track(NamedTuple):
    """One speaker from `start` to `end`, in seconds from the start of the recording."""

    start: float
    end: float
    speaker: int
    confidence: float | None
    """Mean over its frames of the share of the windows there that heard this speaker, 0 to 1; None while that may change."""


@dataclass(frozen=True)
class Early:
    """Who speaks when as far as known while audio arrives."""

    tracks: tuple[Track, ...]
    """In order of start, then end. Those that did not change since the last time are the same objects."""
    exclusive: tuple[Track, ...]
    """The same without overlaps."""
    horizon: float
    """Seconds up to which they are known."""


@dataclass(frozen=True)
class Answer:
    """Who speaks when in the whole recording."""

    tracks: tuple[Track, ...]
    """In order of start, then end."""
    exclusive: tuple[Track, ...]
    """The same without overlaps."""
    voices: dict[int, Floats]
    """Mean embedding of each speaker that has a track, not of length 1; none for who never speaks long enough alone."""
    samples: int
    """Of the recording."""


class EarlyClustering(Protocol):
    """Incremental clustering with bounded cost per update: `diarization_service.early`."""

    def add(self, embeddings: Floats, trained: Bools, windows: Integers) -> None:
        """The next local speakers, in order, with the windows that they belong to."""
        ...

    def labels(self) -> Integers:
        """The speaker of every local speaker added so far, from 0; -1 where none is known yet."""
        ...


class Recording:
    """The state of one recording. Its memory grows by embeddings and packed activity, not by audio or turns."""

    def __init__(
        self,
        geometry: Geometry,
        bounds: SpeakerBounds,
        early: EarlyClustering | None = None,
        block_windows: int = 1,
    ) -> None:
        """`early` None: no early turns. `block_windows` is the networks'."""
        raise NotImplementedError

    def feed(self, pcm: bytes) -> None:
        """The recording's next 16-bit little-endian mono samples at 16 kHz; any number of bytes, samples may be split."""
        raise NotImplementedError

    def end(self) -> None:
        """No audio follows."""
        raise NotImplementedError

    @property
    def received(self) -> int:
        """Samples fed so far."""
        raise NotImplementedError

    @property
    def held(self) -> int:
        """Samples kept in memory since a window still needs them; what back-pressure is measured by."""
        raise NotImplementedError

    @property
    def ready_windows(self) -> int:
        """Windows that can be taken for segmentation."""
        raise NotImplementedError

    @property
    def ready_blocks(self) -> int:
        """Blocks that can be taken for embedding."""
        raise NotImplementedError

    def take_windows(self, most: int) -> Floats:
        """The next up to `most` ready windows, shape (windows, samples)."""
        raise NotImplementedError

    def accept_activity(self, activity: Activity) -> None:
        """Segmentation of as many windows, those taken longest ago, shape (windows, frames, speakers).

        Raises ValueError for more than were taken.
        """
        raise NotImplementedError

    def take_blocks(self, most: int) -> list[Block]:
        """The next up to `most` ready blocks. Windows in which nobody speaks are passed over."""
        raise NotImplementedError

    def accept_embeddings(self, embeddings: list[Floats]) -> None:
        """Embeddings of as many blocks, those taken longest ago, each of shape (windows, speakers, dimension).

        Raises ValueError for more than were taken.
        """
        raise NotImplementedError

    @property
    def windows(self) -> int:
        """Windows known so far; all of them once the audio has ended."""
        raise NotImplementedError

    @property
    def segmented(self) -> int:
        """Windows whose activity was accepted."""
        raise NotImplementedError

    @property
    def embedded(self) -> int:
        """Windows, counted from the first, whose speakers are embedded or that have none."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Whether all audio is in and everything was computed, so that `answer` can be asked for."""
        raise NotImplementedError

    def early(self) -> Early | None:
        """Who speaks when so far; None where nothing changed since the last call, or without early clustering."""
        raise NotImplementedError

    def answer(self, check: Check = lambda: None) -> Answer:
        """Who speaks when, as pyannote.audio's pipeline would have said. Raises ValueError before `finished`.

        Passes on what `check`, called now and then, raises.
        """
        raise NotImplementedError
