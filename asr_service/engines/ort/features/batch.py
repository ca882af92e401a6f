"""A batch's features, computed side by side in threads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asr_service.engines.base import Samples
from asr_service.engines.ort.stages import Features, Floats, FrontEnd, Integers, Part

_Number = TypeVar("_Number", np.float32, np.int64)


@dataclass(frozen=True)
class NumpyFeatures(Features):
    """Computed on the host, all at once."""

    front_end: FrontEnd
    pool: Executor
    channels_first: bool = False

    def __call__(self, batch: Sequence[Samples], longest: int | None = None) -> "Stacked":
        frames = None if longest is None else self.front_end.frames(longest)
        features, lengths = stacked(
            self.front_end, batch, self.pool, frames=frames, channels_first=self.channels_first
        )
        return Stacked(features, lengths, features.shape[2 if self.channels_first else 1])


@dataclass(frozen=True)
class Stacked:
    """What `stacked` made."""

    features: Floats
    lengths: Integers
    frames: int

    @property
    def utterances(self) -> int:
        return len(self.lengths)

    def parts(self, parts: Sequence[Part]) -> Iterator[tuple[Floats, Integers]]:
        first = 0
        for utterances, rows in parts:
            part = slice(first, first + utterances)
            yield _filled(self.features[part], rows), _filled(self.lengths[part], rows)
            first += utterances


def stacked(
    front_end: FrontEnd,
    batch: Sequence[Samples],
    executor: Executor,
    *,
    frames: int | None = None,
    channels_first: bool = False,
) -> tuple[Floats, Integers]:
    """Features of shape (batch, frames, bins), or (batch, bins, frames), and how many frames of each row are its own.

    The front end's padding fills the rest, up to the longest utterance or to `frames`. Raises ValueError for an
    utterance of more than `frames`, or where there is none.
    """
    lengths = np.array([front_end.frames(len(samples)) for samples in batch], np.int64)
    longest = int(lengths.max())
    if frames is not None and longest > frames:
        raise ValueError(f"an utterance has {longest} frames, more than {frames}")
    rows = _rows((len(batch), longest if frames is None else frames, front_end.bins), channels_first)

    def fill(row: Floats, samples: Samples) -> None:
        features = front_end(samples)
        row[: len(features)] = features
        row[len(features) :] = front_end.padding

    # Going through what it gives raises what a thread raised.
    for _ in executor.map(fill, rows, batch):
        pass
    return rows.transpose(0, 2, 1) if channels_first else rows, lengths


def _rows(shape: tuple[int, int, int], channels_first: bool) -> Floats:
    """Memory for (batch, frames, bins); with `channels_first`, its transpose is contiguous."""
    if not channels_first:
        return np.empty(shape, np.float32)
    batch, frames, bins = shape
    return np.empty((batch, bins, frames), np.float32).transpose(0, 2, 1)


def _filled(rows: npt.NDArray[_Number], count: int) -> npt.NDArray[_Number]:
    """With the last row again and again, up to so many."""
    missing = count - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing > 0 else rows
