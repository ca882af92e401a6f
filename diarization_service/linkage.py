"""Centroid linkage: which clusters merge into which, from every point on its own to one cluster of them all.

scipy keeps the distances between all points, 10 GB for ten hours of speech. Above a few thousand points this follows
Müllner's generic algorithm ("Modern hierarchical, agglomerative clustering algorithms", 2011) on the points themselves:
each cluster knows the nearest one that is older than itself, and looks for another only once the one it knew has merged and
its distance, by then a lower bound, is the least of all. A search compares sketches first, and whole vectors only where
those leave room for a nearer neighbour, so the answer is exact.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage

from diarization_service.sketches import Sketches, Vectors, is_forgotten
from diarization_service.stages import Floats

Dendrogram = npt.NDArray[np.float64]
"""As scipy's: a row (cluster, cluster, distance, points) a merge. Row i makes cluster `points + i`."""
Check = Callable[[], object]
"""Called now and then during long work; what it raises ends the work."""
Places = npt.NDArray[np.intp]

SCIPY_POINTS = 4096
"""So many at most are left to scipy: up to three times as quick as ours, in 67 MB, and ties fall as they do there."""

_POINTS_AT_ONCE = 64
_MERGES_BETWEEN_CHECKS = 64
_VECTORS_AT_ONCE = 1024


def centroid_linkage(points: Floats, check: Check) -> Dendrogram:
    """Merge the two clusters whose means are nearest, again and again. At least two points near the unit sphere.

    Overwrites `points`, which become its working memory. Passes on what `check` raises.
    """
    check()
    if len(points) > SCIPY_POINTS:
        return generic_linkage(points, check)
    dendrogram: Dendrogram = linkage(points, method="centroid", metric="euclidean")
    return dendrogram


def generic_linkage(points: Floats, check: Check) -> Dendrogram:
    """The same for any number of points, in memory that grows with them and not with their square."""
    count = len(points)
    clusters = _Clusters(points)
    for start in range(0, count, _POINTS_AT_ONCE):
        check()
        clusters.find_neighbours(start, min(start + _POINTS_AT_ONCE, count))
    dendrogram = np.empty((count - 1, 4))
    for merge in range(count - 1):
        if not merge % _MERGES_BETWEEN_CHECKS:
            check()
        dendrogram[merge] = clusters.merge(count + merge)
    return dendrogram


class _Clusters:
    """Clusters in order of age, the merged ones still among them until the next tidying."""

    def __init__(self, points: Floats) -> None:
        count = len(points)
        self._end, self._most = count, _with_room(count)
        self._points = points
        self._sketches = Sketches(points, self._most)
        self._sizes = np.ones(self._most)
        self._names = np.arange(self._most)
        # A cluster of several points lies in two of their rows: its mean, and what single precision left out of that.
        self._rows = np.column_stack([np.arange(self._most), np.full(self._most, -1)])
        # The name of the nearest older cluster at the time of the search, and its squared distance.
        self._neighbours = np.zeros(self._most, np.intp)
        self._bounds = np.full(self._most, np.inf)
        # Where each name is; -1 once merged.
        self._places = np.full(2 * count, -1)
        self._places[:count] = np.arange(count)

    def find_neighbours(self, start: int, end: int) -> None:
        """For the clusters at places from `start` up to `end`."""
        bounds = self._sketches.lower_bounds(start, end, end)
        for place in range(start, end):
            self._settle(place, bounds[place - start, :place])

    def merge(self, name: int) -> tuple[int, int, float, float]:
        """Make one cluster of the nearest two, and the dendrogram's row of it."""
        pair = self._nearest_pair()
        distance = float(np.sqrt(self._bounds[pair[0]]))
        first, second = sorted(self._names[pair].tolist())
        sizes = self._sizes[pair]
        size = float(sizes.sum())
        mean = sizes @ self._vectors(pair) / size
        rows = self._rows[pair, 0]
        self._remove(pair)
        self._append(name, size, mean, rows)
        return first, second, distance, size

    def _nearest_pair(self) -> Places:
        """Places of the younger and the older one."""
        while True:
            place = int(np.argmin(self._bounds[: self._end]))
            other = self._places[self._neighbours[place]]
            if other >= 0:
                return np.array([place, other])
            self._search(place)

    def _search(self, place: int) -> None:
        self._settle(place, self._sketches.lower_bounds(place, place + 1, place)[0])

    def _settle(self, place: int, lower_bounds: Floats) -> None:
        """Find the nearest older cluster, given lower bounds of the squared distances to all of them."""
        first = int(np.argmin(lower_bounds)) if place else 0
        if not place or is_forgotten(lower_bounds[first]):
            self._bounds[place] = np.inf
            return
        vector = self._vectors(np.array([place]))
        nearest, least = self._nearest(vector, np.array([first]))
        for some in _blocks(np.flatnonzero(lower_bounds < least)):
            another, distance = self._nearest(vector, some)
            if distance < least:
                nearest, least = another, distance
        self._neighbours[place], self._bounds[place] = self._names[nearest], least

    def _nearest(self, vector: Vectors, places: Places) -> tuple[int, float]:
        """Which of `places` is nearest, and its squared distance."""
        differences = self._vectors(places) - vector
        distances = np.einsum("ij,ij->i", differences, differences)
        best = int(np.argmin(distances))
        return int(places[best]), float(distances[best])

    def _vectors(self, places: Places) -> Vectors:
        means, rests = self._rows[places].T
        vectors: Vectors = self._points[means].astype(np.float64)
        vectors += np.where(rests[:, None] >= 0, self._points[rests], 0)
        return vectors

    def _remove(self, pair: Places) -> None:
        self._places[self._names[pair]] = -1
        self._bounds[pair] = np.inf
        self._sketches.forget(pair)

    def _append(self, name: int, size: float, mean: Vectors, rows: Places) -> None:
        if self._end == self._most:
            self._tidy()
        place = self._end
        self._end += 1
        self._points[rows[0]] = mean
        self._points[rows[1]] = mean - self._points[rows[0]]
        self._sketches.put(place, mean[None])
        self._names[place], self._sizes[place], self._rows[place] = name, size, rows
        self._places[name] = place
        self._search(place)

    def _tidy(self) -> None:
        """Close the gaps that merged clusters left."""
        kept = np.flatnonzero(self._places[self._names[: self._end]] >= 0)
        self._end = kept.size
        self._most = min(self._most, _with_room(self._end))
        self._sketches.keep(kept)
        for column in (self._names, self._sizes, self._rows, self._neighbours, self._bounds):
            column[: self._end] = column[kept]
        self._places[self._names[: self._end]] = np.arange(self._end)
        self._bounds[self._end :] = np.inf


def _with_room(clusters: int) -> int:
    """Places enough to tidy seldom, and few enough that searches pass over few gaps."""
    return clusters + clusters // 16 + 1


def _blocks(places: Places) -> Iterator[Places]:
    return (places[start : start + _VECTORS_AT_ONCE] for start in range(0, places.size, _VECTORS_AT_ONCE))
