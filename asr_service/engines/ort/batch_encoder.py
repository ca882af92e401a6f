"""The encoder over batches of any number of rows: in parts that its sessions take, written into one tensor.

An encoder gains nothing from more than some dozens of rows, but a search, whose steps cost nearly the same for any number,
does; so one search follows all of the parts.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from onnxruntime import OrtValue, RunOptions

from asr_service.engines.ort.encoder import Signature, encode, encoded_lengths
from asr_service.engines.ort.lanes import Lane, Lanes
from asr_service.engines.ort.runtime import Rows
from asr_service.engines.ort.stages import Encoded, Floats, Integers

_Number = TypeVar("_Number", np.float32, np.int64)


class BatchEncoder:
    """Shared by all threads."""

    def __init__(self, signature: Signature, lanes: Lanes) -> None:
        self.signature = signature
        self.lanes = lanes
        # Of the frames that so many feature frames give: all axes but the rows.
        self._sizes: dict[int, tuple[int, ...]] = {}

    def __call__(
        self, features: Floats, lengths: Integers, samples: int, options: RunOptions | None = None
    ) -> Encoded:
        """Frames of a batch that `features.stacked` made, of utterances of at most so many samples.

        They stay on the device. Rows beyond the batch's own, which fill the last part up to what its session takes,
        stand behind the others. Raises OutsideProfiles, and what sessions raise.
        """
        sizes = self.lanes.split(len(features), samples)
        if len(sizes) == 1:
            return self._part(self.lanes.lane(sizes[0], samples), features, lengths, options)
        return self._joined(
            [self.lanes.lane(size, samples) for size in sizes], sizes, features, lengths, options
        )

    def _part(self, lane: Lane, features: Floats, lengths: Integers, options: RunOptions | None) -> Encoded:
        rows = max(len(features), lane.least_rows)
        return encode(lane.session, self.signature, _filled(features, rows), _filled(lengths, rows), options)

    def _joined(
        self,
        lanes: Sequence[Lane],
        sizes: Sequence[int],
        features: Floats,
        lengths: Integers,
        options: RunOptions | None,
    ) -> Encoded:
        """Each part's filling is overwritten by the part after it."""
        last = max(sizes[-1], lanes[-1].least_rows)
        total = len(features) - sizes[-1] + last
        size = self._frame_sizes(lanes[0], features[: sizes[0]], lengths[: sizes[0]], options)
        whole = lanes[0].session.empty((total, *size))
        said = np.zeros(total, np.int64)
        first = 0
        for lane, count in zip(lanes, sizes, strict=True):
            rows = max(count, lane.least_rows)
            part = slice(first, first + count)
            own = _filled(lengths[part], rows)
            outputs = lane.session.run(
                self.signature.inputs(_filled(features[part], rows), own),
                into={self.signature.frames_out: Rows(whole, first, rows)},
                options=options,
            )
            said[first : first + rows] = encoded_lengths(self.signature, outputs, own)
            first += count
        return Encoded({self.signature.frames_out: whole}, said)

    def _frame_sizes(
        self, lane: Lane, features: Floats, lengths: Integers, options: RunOptions | None
    ) -> tuple[int, ...]:
        """Found by trying, once for each number of feature frames."""
        frames = features.shape[self.signature.time_axis]
        if frames not in self._sizes:
            encoded = self._part(lane, features, lengths, options)
            self._sizes[frames] = _sizes(encoded.outputs[self.signature.frames_out])
        return self._sizes[frames]


def _sizes(tensor: OrtValue) -> tuple[int, ...]:
    return tuple(tensor.shape()[1:])


def _filled(rows: npt.NDArray[_Number], count: int) -> npt.NDArray[_Number]:
    """With the last row again and again, up to so many."""
    missing = count - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing > 0 else rows
