"""Short summaries of vectors whose distances never exceed those of the vectors themselves.

A sketch is the projection on the directions in which the vectors differ most, and the length of what the projection leaves
out. Between two vectors those remainders differ by at least the difference of their lengths, so the distance of two sketches
is a lower bound. Embeddings of a few voices hardly leave the first dimensions: few pairs need their whole vectors.
"""

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Floats

_DIRECTIONS = 32
_SAMPLE = 2048
_ROWS_AT_ONCE = 4096
_SLACK = np.float32(1e-5)
"""More than single precision loses in a squared distance between unit vectors' sketches."""
_FAR = np.float32(1e9)

Vectors = npt.NDArray[np.float64]


class Sketches:
    """One for each of up to `most` vectors near the unit sphere, by place."""

    def __init__(self, points: Floats, most: int) -> None:
        """The first places are those of `points`."""
        some = points[:: max(1, len(points) // _SAMPLE)].astype(np.float64)
        self._centre = some.mean(axis=0)
        self._directions = _principal(some - self._centre)
        # Projection, length of the rest, squared length of both.
        self._rows = np.empty((most, self._directions.shape[1] + 2), np.float32)
        for start in range(0, len(points), _ROWS_AT_ONCE):
            self.put(start, points[start : start + _ROWS_AT_ONCE].astype(np.float64))

    def put(self, start: int, vectors: Vectors) -> None:
        """Sketch `vectors` for the places from `start` on."""
        centred = vectors - self._centre
        projected = centred @ self._directions
        length = np.einsum("ij,ij->i", centred, centred)
        rest = np.maximum(0, length - np.einsum("ij,ij->i", projected, projected))
        rows = self._rows[start : start + len(vectors)]
        rows[:, :-2], rows[:, -2], rows[:, -1] = projected, np.sqrt(rest), length

    def forget(self, places: npt.NDArray[np.intp]) -> None:
        """Put `places` far from everything."""
        self._rows[places] = 0
        self._rows[places, -1] = _FAR

    def keep(self, places: npt.NDArray[np.intp]) -> None:
        """Keep only `places`, which become the first ones."""
        self._rows[: places.size] = self._rows[places]

    def lower_bounds(self, start: int, end: int, before: int) -> Floats:
        """Of the squared distances from places `start` up to `end` to those before `before`; huge to forgotten ones."""
        rows = self._rows[start:end]
        queries = -2 * rows
        queries[:, -1] = 1
        bounds: Floats = queries @ self._rows[:before].T
        bounds += rows[:, -1:] - _SLACK
        return bounds


def is_forgotten(lower_bound: float) -> bool:
    """Whether a lower bound is that to a forgotten place."""
    return bool(lower_bound > _FAR / 2)


def _principal(centred: Vectors) -> Vectors:
    """Orthonormal directions, as columns, in which the rows differ most."""
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(directions[:, ::-1][:, :_DIRECTIONS])
