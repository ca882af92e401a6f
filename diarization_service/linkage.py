"""Centroid linkage: which clusters merge into which, from every point on its own to one cluster of them all."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage

from diarization_service.stages import Floats

Dendrogram = npt.NDArray[np.float64]
"""As scipy's: a row (cluster, cluster, distance, points) a merge. Row i makes cluster `points + i`."""
Check = Callable[[], object]
"""Called now and then during long work; what it raises ends the work."""


def centroid_linkage(points: Floats, check: Check) -> Dendrogram:
    """Merge the two clusters whose means are nearest, again and again. At least two points, all finite.

    Passes on what `check` raises.
    """
    check()
    dendrogram: Dendrogram = linkage(points, method="centroid", metric="euclidean")
    return dendrogram
