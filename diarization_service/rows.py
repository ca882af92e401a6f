"""A table that grows by rows. Long ones do so without being copied: the system moves their pages."""

from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Rows of equal width and type, in one piece of memory. None of its views may be held while it grows."""

    def __init__(self, width: int, dtype: npt.DTypeLike) -> None:
        self._width = width
        self._dtype = np.dtype(dtype)
        self._bytes = bytearray()

    @property
    def rows(self) -> npt.NDArray[Any]:
        """View of all rows, shape (rows, width)."""
        return np.frombuffer(self._bytes, self._dtype).reshape(-1, self._width)

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Copies of `rows`, shape (rows, width). Raises BufferError where a view is held."""
        self._bytes += rows.astype(self._dtype, copy=False).tobytes()

    def grow(self, count: int) -> None:
        """Have at least `count` rows, new ones zero. Raises BufferError where a view is held."""
        self._bytes += bytes(max(0, count * self._width * self._dtype.itemsize - len(self._bytes)))
