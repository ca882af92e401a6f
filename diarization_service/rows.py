"""A table that grows by rows without being copied: the system moves its pages."""

from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Rows of equal width and type, in one piece of memory. None of its views may be held while it grows."""

    def __init__(self, width: int, dtype: npt.DTypeLike) -> None:
        self._table: npt.NDArray[Any] = np.zeros((0, width), dtype)
        self._count = 0

    @property
    def rows(self) -> npt.NDArray[Any]:
        """View of all rows, shape (rows, width)."""
        return self._table[: self._count]

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Copies of `rows`, shape (rows, width)."""
        first = self._count
        self.grow(first + len(rows))
        self._table[first : self._count] = rows

    def grow(self, count: int) -> None:
        """Have `count` rows, new ones zero. Raises ValueError where a view is held."""
        if count > len(self._table):
            # An eighth to spare keeps the cost of growing in proportion to the rows.
            self._table.resize((count + count // 8 + 64, self._table.shape[1]))
        self._count = max(self._count, count)
