"""The encoder over batches of any number of rows: in parts that its sessions take, written into one tensor.

An encoder gains nothing from more than some dozens of rows, but a search, whose steps cost nearly the same for any number,
does; so one search follows all of the parts.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from onnxruntime import OrtValue, RunOptions

from asr_service.engines.ort.encoder import Signature, encode, encoded_lengths
from asr_service.engines.ort.lanes import Lane, Lanes
from asr_service.engines.ort.runtime import Rows
from asr_service.engines.ort.stages import BatchFeatures, Encoded, Floats, Integers, Part

Lap = Callable[[str], None]
_Computed = tuple[Floats | OrtValue, Integers]


def _unmeasured(stage: str) -> None:
    """Nobody wants to know."""


class BatchEncoder:
    """Shared by all threads."""

    def __init__(self, signature: Signature, lanes: Lanes) -> None:
        self.signature = signature
        self.lanes = lanes
        # Of the frames that so many feature frames give: all axes but the rows.
        self._sizes: dict[int, tuple[int, ...]] = {}

    def __call__(
        self,
        features: BatchFeatures,
        samples: int,
        options: RunOptions | None = None,
        lap: Lap = _unmeasured,
    ) -> Encoded:
        """Frames of a batch of utterances of at most so many samples.

        They stay on the device. Rows beyond the batch's own, which fill the last part up to what its session takes,
        stand behind the others. `lap` is told each time that "features" and "encoder" end. Raises OutsideProfiles, and
        what sessions raise.
        """
        sizes = self.lanes.split(features.utterances, samples)
        lanes = [self.lanes.lane(size, samples) for size in sizes]
        parts = [Part(size, max(size, lane.least_rows)) for size, lane in zip(sizes, lanes, strict=True)]
        computed = _watched(features.parts(parts), lap)
        if len(parts) == 1:
            return encode(lanes[0].session, self.signature, *next(computed), options)
        return self._joined(lanes, parts, computed, features.frames, options)

    def _joined(
        self,
        lanes: Sequence[Lane],
        parts: Sequence[Part],
        computed: Iterator[_Computed],
        frames: int,
        options: RunOptions | None,
    ) -> Encoded:
        """Each part's filling is overwritten by the part after it."""
        *before, last = parts
        total = sum(part.utterances for part in before) + last.rows
        whole: OrtValue | None = None
        said = np.zeros(total, np.int64)
        first = 0
        for lane, part, (features, lengths) in zip(lanes, parts, computed, strict=True):
            if whole is None:
                size = self._frame_sizes(lane, features, lengths, frames, options)
                whole = lane.session.empty((total, *size))
            outputs = lane.session.run(
                self.signature.inputs(features, lengths),
                into={self.signature.frames_out: Rows(whole, first, part.rows)},
                options=options,
            )
            said[first : first + part.rows] = encoded_lengths(self.signature, outputs, lengths)
            first += part.utterances
        return Encoded({self.signature.frames_out: whole}, said)

    def _frame_sizes(
        self,
        lane: Lane,
        features: Floats | OrtValue,
        lengths: Integers,
        frames: int,
        options: RunOptions | None,
    ) -> tuple[int, ...]:
        """Found by trying, once for each number of feature frames."""
        if frames not in self._sizes:
            encoded = encode(lane.session, self.signature, features, lengths, options)
            self._sizes[frames] = _sizes(encoded.outputs[self.signature.frames_out])
        return self._sizes[frames]


def _watched(computed: Iterator[_Computed], lap: Lap) -> Iterator[_Computed]:
    """Between one and the next, the encoder runs."""
    for each in computed:
        lap("features")
        yield each
        lap("encoder")


def _sizes(tensor: OrtValue) -> tuple[int, ...]:
    return tuple(tensor.shape()[1:])
