"""Features computed where the encoder runs: samples go there, and nothing comes back."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import numpy as np
from onnxruntime import OrtValue

from asr_service.engines.base import Samples
from asr_service.engines.ort.features.graph import compose
from asr_service.engines.ort.features.packing import Packer, Packing
from asr_service.engines.ort.runtime import Placement, Rows, Session
from asr_service.engines.ort.stages import Features, GraphFrontEnd, Integers, Part

AT_ONCE = 2**23
"""Samples in a run, of any number of utterances: memory for their spectra, some twelve times theirs, stays in bounds, and
more are put together while the device computes these."""

# That are computed at the same time, while other parts of theirs are in the encoder.
_BATCHES = 2

_Item = TypeVar("_Item")


class GraphFeatures(Features):
    """By the graph of features/graph.py. Shared by all threads."""

    def __init__(
        self,
        front_end: GraphFrontEnd,
        placement: Placement,
        pool: Executor,
        *,
        channels_first: bool = False,
        doubles: bool = False,
        at_once: int = AT_ONCE,
    ) -> None:
        """Samples are put together in `pool`; the graph takes about `at_once` of them. Raises ModelUnavailable."""
        self.front_end = front_end
        self.channels_first = channels_first
        graph = compose(front_end, channels_first=channels_first, doubles=doubles)
        self.session = Session(graph.SerializeToString(), placement)
        self.packer = Packer(front_end, pool, at_once)
        # Not `pool`, whose threads this one waits for.
        self.ahead = ThreadPoolExecutor(_BATCHES, thread_name_prefix="features ahead")

    def __call__(self, batch: Sequence[Samples], longest: int | None = None) -> "_GraphBatch":
        lengths = np.array([self.front_end.frames(len(samples)) for samples in batch], np.int64)
        most = int(lengths.max())
        frames = most if longest is None else self.front_end.frames(longest)
        if most > frames:
            raise ValueError(f"an utterance has {most} frames, more than {frames}")
        return _GraphBatch(self, batch, lengths, frames)


@dataclass(frozen=True)
class _GraphBatch:
    made_by: GraphFeatures
    batch: Sequence[Samples]
    lengths: Integers
    frames: int

    @property
    def utterances(self) -> int:
        return len(self.batch)

    def parts(self, parts: Sequence[Part]) -> Iterator[tuple[OrtValue, Integers]]:
        """On the device. Those of a part are computed while its predecessor is in the encoder."""
        return _ahead(self._computed(parts), self.made_by.ahead)

    def _computed(self, parts: Sequence[Part]) -> Iterator[tuple[OrtValue, Integers]]:
        places = list(_places(parts))
        most = self.made_by.packer.most(self.frames)
        runs = [list(_evenly(part, most)) for part in places]
        packed = self._packed([run for part in runs for run in part])
        for part, runs_of_part in zip(places, runs, strict=True):
            whole, first = self.made_by.session.empty((len(part), *self._shape)), 0
            for run in runs_of_part:
                self._compute(next(packed), Rows(whole, first, len(run)))
                first += len(run)
            yield whole, self.lengths[part]

    @property
    def _shape(self) -> tuple[int, int]:
        """Of a row."""
        shape = self.frames, self.made_by.front_end.bins
        return shape[::-1] if self.made_by.channels_first else shape

    def _packed(self, runs: Sequence[Sequence[int]]) -> Iterator[Packing]:
        """Each run's samples; the next run's are put together meanwhile."""
        begun = deque[Packing]()
        for run in runs:
            begun.append(self.made_by.packer.pack([self.batch[place] for place in run], self.frames))
            if len(begun) > 1:
                yield begun.popleft()
        yield from begun

    def _compute(self, packing: Packing, rows: Rows) -> None:
        packing.wait()
        inputs = {"samples": packing.samples, "heard": packing.heard}
        self.made_by.session.run(inputs, into={"features": rows})
        self.made_by.packer.give_back(packing)


def _ahead(items: Iterator[_Item], executor: Executor) -> Iterator[_Item]:
    """Items that cost time, each computed in a thread while the one before is used."""
    coming = executor.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = executor.submit(next, items, None)
        yield item


def _places(parts: Sequence[Part]) -> Iterator[list[int]]:
    """Which utterance stands in each row of each part."""
    first = 0
    for utterances, rows in parts:
        last = first + utterances - 1
        yield [min(first + row, last) for row in range(rows)]
        first += utterances


def _evenly(places: list[int], most: int) -> Iterator[list[int]]:
    """Runs of at most so many, as equal as can be."""
    size = ceil(len(places) / ceil(len(places) / most))
    for first in range(0, len(places), size):
        yield places[first : first + size]
