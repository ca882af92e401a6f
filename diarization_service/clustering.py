"""Who is who across windows: the final clustering, over all of a recording.

Equals pyannote.audio 4.0.7's `AgglomerativeClustering` with centroid linkage on cosine distances, as its
`SpeakerDiarization` uses it: the same clusters, numbered alike. It takes rows in place of its array of windows by
speakers: one row for each speaker that a window hears at all, in order of windows, then of speakers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster
from scipy.spatial.distance import cdist

from diarization_service.linkage import Check, Dendrogram, centroid_linkage
from diarization_service.stages import Activity, Floats
from serving.speakers import SpeakerBounds

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]
Vectors = Callable[[Rows], Floats]
"""Copies of some rows, perhaps normalised: never of all of them at once where it can be helped."""

THRESHOLD = 0.7045654963945799
"""Between the means of unit vectors: clusters that are farther apart stay two."""
MIN_CLUSTER_SIZE = 12
"""Fewer embeddings make no speaker; they go to the nearest one."""
MIN_CLEAN_SHARE = 0.2
"""Of a window's frames: who speaks alone for less takes no part in finding the speakers."""

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Clusters:
    labels: Labels
    """The cluster of each row, from 0 on."""
    centroids: Floats
    """The mean embedding of each cluster, not normalised, shape (clusters, dimension); NaN where no row is clean."""


def clean_enough(activity: Activity) -> Mask:
    """Who speaks alone for long enough to found a cluster: (..., speakers) of activity (..., frames, speakers)."""
    alone = activity.sum(axis=-1, keepdims=True) == 1
    clean: Mask = (activity * alone).sum(axis=-2) >= MIN_CLEAN_SHARE * activity.shape[-2]
    return clean


def cluster(embeddings: Floats, clean: Mask, bounds: SpeakerBounds, check: Check = lambda: None) -> Clusters:
    """Clusters of the rows of `embeddings`, shape (rows, dimension), NaN where there is none.

    Only rows that are `clean` found clusters. Then every row goes to the cluster whose mean is nearest, rows without an
    embedding to cluster 0. Where `bounds` cannot be kept, the number of clusters is as close to them as can be. Passes on
    what `check` raises.
    """
    norms = _norms(embeddings)
    founders = np.flatnonzero(clean & np.isfinite(norms) & (norms > 0))
    wanted = _Wanted.of(bounds, founders.size)
    if wanted.maximum < 2:
        everyone = np.zeros(len(embeddings), np.int32)
        return Clusters(everyone, _means(embeddings.__getitem__, founders, everyone[founders]))

    def units(rows: Rows) -> Floats:
        vectors: Floats = embeddings[rows]
        vectors /= norms[rows, None]
        return vectors

    found = _found(units, founders, wanted, check)
    centroids = _means(embeddings.__getitem__, founders, found)
    return Clusters(_nearest(embeddings, centroids), centroids)


@dataclass(frozen=True)
class _Wanted:
    """How many clusters are to be found."""

    minimum: int
    maximum: int

    @classmethod
    def of(cls, bounds: SpeakerBounds, founders: int) -> "_Wanted":
        return cls(
            minimum=max(1, min(founders, bounds.minimum or 1)),
            maximum=max(1, min(founders, bounds.maximum or founders)),
        )

    def instead_of(self, found: int) -> int:
        return min(max(found, self.minimum), self.maximum)


def _found(units: Vectors, founders: Rows, wanted: _Wanted, check: Check) -> Labels:
    """A cluster for each of the founders, from 0 on, each of them large."""
    least = min(MIN_CLUSTER_SIZE, max(1, round(0.1 * founders.size)))
    dendrogram = centroid_linkage(units(founders), check)
    labels = _cut(dendrogram, dendrogram[:, 2], THRESHOLD)
    large = int(np.count_nonzero(np.bincount(labels) >= least))
    target = wanted.instead_of(large)
    if target != large:
        merges = np.arange(len(dendrogram), dtype=np.float64)
        labels = _cut(dendrogram, merges, _last_merge(dendrogram, least, target))
    return _without_small(units, founders, labels, least)


def _cut(dendrogram: Dendrogram, heights: Dendrogram, height: float) -> Labels:
    """The clusters that merges up to `height` make, numbered from left to right."""
    raised = np.column_stack([dendrogram[:, :2], heights, dendrogram[:, 3]])
    labels: Labels = fcluster(raised, height, criterion="distance") - 1
    return labels


def _last_merge(dendrogram: Dendrogram, least: int, target: int) -> int:
    """The merge after which `target` clusters are large, or as nearly as many as can be.

    Only merges that make a large cluster count; of several, the one whose distance is nearest to the threshold. All merges,
    which make one cluster, where none comes nearer than that.
    """
    order = np.argsort(np.abs(dendrogram[:, 2] - THRESHOLD))
    order = order[dendrogram[order, 3] >= least]
    misses = np.abs(_large_after(dendrogram, least)[order] - target)
    best = int(np.argmin(misses))
    return int(order[best]) if misses[best] < abs(1 - target) or not misses[best] else len(dendrogram)


def _large_after(dendrogram: Dendrogram, least: int) -> npt.NDArray[np.int64]:
    """How many clusters are large after each merge."""
    points = len(dendrogram) + 1
    large = np.concatenate([np.ones(points), dendrogram[:, 3]]) >= least
    merged = large[dendrogram[:, :2].astype(np.int64)].sum(axis=1)
    after: npt.NDArray[np.int64] = points * int(large[0]) + np.cumsum(large[points:] - merged)
    return after


def _without_small(units: Vectors, founders: Rows, labels: Labels, least: int) -> Labels:
    """Each small cluster joined to the large one whose mean is nearest; one cluster where none is large."""
    sizes = np.bincount(labels)
    large, small = np.flatnonzero(sizes >= least), np.flatnonzero(sizes < least)
    if not large.size:
        return np.zeros_like(labels)
    if not small.size:
        return labels
    means = _means(units, founders, labels)
    joined = np.arange(sizes.size)
    joined[small] = large[np.argmin(cdist(means[large], means[small], metric="cosine"), axis=0)]
    renumbered: Labels = np.unique(joined[labels], return_inverse=True)[1].astype(np.int32)
    return renumbered


def _nearest(embeddings: Floats, centroids: Floats) -> Labels:
    """The cluster whose mean is nearest to each row, 0 for rows of NaN."""
    labels = np.empty(len(embeddings), np.int32)
    for rows in _blocks(len(embeddings)):
        # Of similarities, not distances: two of those can round to one of these.
        labels[rows] = np.argmax(2 - cdist(embeddings[rows], centroids, metric="cosine"), axis=1)
    return labels


def _means(vectors: Vectors, rows: Rows, labels: Labels) -> Floats:
    """The mean of the rows with each label; row after row in single precision, as `mean` adds them up."""
    sizes = np.bincount(labels, minlength=1)
    members = rows[np.argsort(labels, kind="stable")]
    means = [_mean(vectors, some) for some in np.split(members, np.cumsum(sizes)[:-1])]
    return np.stack(means)


def _mean(vectors: Vectors, rows: Rows) -> Floats:
    total = vectors(rows[:0]).sum(axis=0, keepdims=True)
    for some in _blocks(rows.size):
        total = np.vstack([total, vectors(rows[some])]).sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean: Floats = total[0] / np.float32(rows.size)
    return mean


def _norms(embeddings: Floats) -> Floats:
    norms = np.empty(len(embeddings), np.float32)
    for rows in _blocks(len(embeddings)):
        norms[rows] = np.linalg.norm(embeddings[rows], axis=-1)
    return norms


def _blocks(rows: int) -> Iterator[slice]:
    """So many rows at once that copies of them are small beside all of them."""
    return (slice(start, start + _ROWS_AT_ONCE) for start in range(0, rows, _ROWS_AT_ONCE))
