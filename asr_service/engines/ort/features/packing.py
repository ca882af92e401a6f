"""Utterances put side by side in one array, as a device takes them, by threads that let go of the interpreter's lock."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_service.engines.base import Samples
from asr_service.engines.ort.features.graph import STEPS_BEYOND
from asr_service.engines.ort.features.spectrum import STEP
from asr_service.engines.ort.stages import Floats, GraphFrontEnd


@dataclass(frozen=True)
class Packing:
    """On its way."""

    buffer: Floats
    samples: Floats
    """Part of the buffer, (batch, (frames + STEPS_BEYOND) * STEP)."""
    heard: npt.NDArray[np.bool_]
    """Which frames hold something, (batch, frames, 1)."""
    rest: Iterator[None]

    def wait(self) -> None:
        """Until all samples are there. Raises what a thread raised."""
        deque(self.rest, maxlen=0)


class Packer:
    """Shared by all threads."""

    def __init__(self, front_end: GraphFrontEnd, pool: Executor, at_once: int) -> None:
        """Copies in `pool`, about `at_once` samples for a run."""
        self._front_end = front_end
        self._pool = pool
        self._at_once = at_once
        # Used again and again: memory that was never touched takes longer to get than to fill.
        self._buffers = deque[Floats]()

    def most(self, frames: int) -> int:
        """Rows of so many frames in a run."""
        return max(1, self._at_once // ((frames + STEPS_BEYOND) * STEP))

    def pack(self, batch: Sequence[Samples], frames: int) -> Packing:
        """Begins to put together what so many frames are made of."""
        shape = (len(batch), (frames + STEPS_BEYOND) * STEP)
        size = shape[0] * shape[1]
        buffer = self._buffer(size)
        rows = buffer[:size].reshape(shape)
        heard = np.array([self._front_end.heard(len(samples)) for samples in batch])
        mask = np.arange(frames)[:, np.newaxis] < heard[:, np.newaxis, np.newaxis]
        return Packing(buffer, rows, mask, self._pool.map(self._lay, rows, batch))

    def give_back(self, packing: Packing) -> None:
        """Nobody reads it any more."""
        self._buffers.append(packing.buffer)

    def _buffer(self, size: int) -> Floats:
        try:
            found = self._buffers.pop()
        except IndexError:
            found = np.empty(0, np.float32)
        return found if len(found) >= size else np.empty(max(size, self._at_once), np.float32)

    def _lay(self, row: Floats, samples: Samples) -> None:
        place = 0
        for piece in self._front_end.surrounded(samples):
            kept = piece[: len(row) - place]
            row[place : place + len(kept)] = kept
            place += len(kept)
        row[place:] = 0
