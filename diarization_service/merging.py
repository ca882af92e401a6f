"""Centroid linkage of a few hundred weighted means: what early clustering can afford again and again."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Floats

Places = npt.NDArray[np.intp]


class Merge(NamedTuple):
    """Two clusters become one, which from then on goes by the first one's place."""

    kept: int
    gone: int
    distance: float
    weights: tuple[float, float]
    """Of both, before."""


def merges(means: Floats, weights: Floats) -> list[Merge]:
    """All merges of means of shape (means, dimension), whose weights are above 0, in order."""
    squared = _squared_distances(means)
    weighing = weights.tolist()
    found = []
    for _ in range(len(means) - 1):
        kept, gone = divmod(int(squared.argmin()), len(means))
        least = float(squared[kept, gone])
        found.append(Merge(kept, gone, max(0.0, least) ** 0.5, (weighing[kept], weighing[gone])))
        weighing[kept] += weighing[gone]
        share = weighing[gone] / weighing[kept]
        # Lance and Williams' formula; infinite, as before, between a cluster and itself or one that is gone.
        row = (1 - share) * squared[kept] + share * squared[gone] - share * (1 - share) * least
        squared[kept] = squared[:, kept] = row
        squared[gone] = squared[:, gone] = np.inf
    return found


def clusters_after(done: Iterable[Merge], places: int) -> Places:
    """The cluster of each place, by the place it goes by, after the merges `done`."""
    clusters = np.arange(places)
    for merge in done:
        clusters[clusters == merge.gone] = merge.kept
    return clusters


def heavy_after(found: Sequence[Merge], weights: Floats, least: float) -> npt.NDArray[np.int64]:
    """How many clusters weigh at least `least` after no merge, after one, and so on."""
    changes = [
        (sum(merge.weights) >= least) - sum(weight >= least for weight in merge.weights) for merge in found
    ]
    return np.cumsum([np.count_nonzero(weights >= least), *changes])


def _squared_distances(means: Floats) -> Floats:
    """Infinite between each and itself."""
    squares = np.einsum("ij,ij->i", means, means)
    squared: Floats = squares[:, None] + squares - 2 * means @ means.T
    np.fill_diagonal(squared, np.inf)
    return squared
