"""What of a batch goes through a network at once. NumPy alone.

Which of a GPU's kernels computes a piece depends on its shape, and how a sum is rounded on the kernel. In half precision that
is enough to move a turn, so what comes of a recording would depend on how it arrived and on who else was there. Where that
matters, all pieces are of one shape.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Samples, Windows


@dataclass(frozen=True)
class Shape:
    """Of a network's pieces, for windows of `window` samples."""

    windows: int
    """At most."""
    window: int
    reach: int | None
    """Samples of audio that every piece has; None where pieces are as they come."""

    def parts(self, windows: Windows) -> Iterator[slice]:
        """Neighbours that fit into a piece, all of them in order."""
        start = 0
        for stop in range(1, len(windows) + 1):
            if stop == len(windows) or not self._holds(windows, start, stop + 1):
                yield slice(start, stop)
                start = stop

    def piece(self, windows: Windows, part: slice) -> tuple[Samples, npt.NDArray[np.int64]]:
        """The part's audio and where its windows start in it, filled up with silence and with its first sample."""
        own = windows.part(part, self.window)
        starts = self.filled(np.array(own.starts, np.int64))
        if self.reach is None:
            return own.samples, starts
        return np.pad(own.samples, (0, self.reach - len(own.samples))), starts

    def filled(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What goes with a part's windows, filled up with zeros."""
        missing = 0 if self.reach is None else self.windows - len(rows)
        return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))

    def _holds(self, windows: Windows, start: int, stop: int) -> bool:
        reach = windows.starts[stop - 1] + self.window - windows.starts[start]
        return stop - start <= self.windows and (self.reach is None or reach <= self.reach)


def without_filling(found: Sequence[npt.NDArray[Any]], parts: Sequence[slice]) -> list[npt.NDArray[Any]]:
    """What came of the parts themselves."""
    return [one[: part.stop - part.start] for one, part in zip(found, parts, strict=True)]
