"""Where early clustering cuts, and which of the clusters are speakers: as the final one would, but slower to change its mind."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from diarization_service.clustering import MIN_CLUSTER_SIZE, THRESHOLD
from diarization_service.merging import Merge, Places, clusters_after, heavy_after
from diarization_service.stages import Floats
from serving.speakers import SpeakerBounds

Names = npt.NDArray[np.int64]

UNKNOWN = -1
"""In place of a name."""

# A speaker has at least this share of the embeddings so far; as in the final clustering, which knows that there are no more.
_LEAST_SHARE = 0.1
# Speakers that could be final stay as many until a distance is by this share on the other side of the threshold.
_INERTIA = 0.06
# Who was a speaker stays one with this share of what it takes to become one: the others may go on while this one listens.
_STAYING_SHARE = 0.5
# Voices nearer than this are not told apart, even where more speakers were announced: they may be yet to come.
_SPLIT = 0.5


def speakers_among(found: list[Merge], weights: Floats, names: Names, bounds: SpeakerBounds) -> Places:
    """The speaker that each mean belongs to, from 0 on in order of appearance, -1 where its cluster is too small."""
    least = min(MIN_CLUSTER_SIZE, max(1, round(_LEAST_SHARE * float(weights.sum()))))
    cut = _cut(_heights(found, names), heavy_after(found, weights, least), bounds)
    clusters = clusters_after(found[:cut], len(weights))
    chosen = _large(clusters, weights, names, least)[: bounds.maximum]
    speakers = np.full(len(weights), -1)
    for speaker, cluster in enumerate(sorted(chosen, key=clusters.tolist().index)):
        speakers[clusters == cluster] = speaker
    return speakers


def _large(clusters: Places, weights: Floats, names: Names, least: int) -> list[int]:
    """Clusters that are speakers; the largest one where all are small."""
    sizes = np.bincount(clusters, weights, len(weights))
    order = np.argsort(-sizes).tolist()
    heavy = [cluster for cluster in order if sizes[cluster] >= least] or order[:1]
    light = [cluster for cluster in order[len(heavy) :] if sizes[cluster] >= _STAYING_SHARE * least]
    return [*heavy, *_staying(clusters, names, heavy, light)]


def _staying(clusters: Places, names: Names, heavy: list[int], light: list[int]) -> Iterator[int]:
    """Those of the light clusters that go by a name by which no heavy one goes."""
    taken = {UNKNOWN, *(_name_in(names[clusters == cluster]) for cluster in heavy)}
    for cluster in light:
        name = _name_in(names[clusters == cluster])
        if name not in taken:
            taken.add(name)
            yield cluster


def _name_in(names: Names) -> int:
    """The one that most groups have, leaving out those that have none."""
    return int(np.bincount(names + 1)[1:].argmax()) if names.max() > UNKNOWN else UNKNOWN


def _heights(found: list[Merge], names: Names) -> npt.NDArray[np.float64]:
    """The merges' distances, of which established names make two clusters of one closer and those of two less close."""
    heights = np.array([merge.distance for merge in found])
    named = names.tolist()
    for number, merge in enumerate(found):
        kept, gone = named[merge.kept], named[merge.gone]
        if min(merge.weights) >= MIN_CLUSTER_SIZE and UNKNOWN not in {kept, gone}:
            heights[number] /= 1 + _INERTIA if kept == gone else 1 - _INERTIA
        if kept == UNKNOWN or (gone != UNKNOWN and merge.weights[1] > merge.weights[0]):
            named[merge.kept] = gone
    return heights


def _cut(heights: npt.NDArray[np.float64], heavy: npt.NDArray[np.int64], bounds: SpeakerBounds) -> int:
    """How many merges to make: up to the final clustering's threshold, more or fewer where the bounds ask for it."""
    count = _up_to(heights, THRESHOLD)
    if bounds.maximum and heavy[count] > bounds.maximum:
        return count + int(np.argmax(heavy[count:] <= bounds.maximum))
    if bounds.minimum and heavy[count] < bounds.minimum:
        enough = np.flatnonzero(heavy[: count + 1] >= bounds.minimum)
        return max(_up_to(heights, _SPLIT), int(enough[-1])) if enough.size else count
    return count


def _up_to(heights: npt.NDArray[np.float64], most: float) -> int:
    """Merges before the first beyond `most`."""
    return int(np.argmax(np.append(heights, np.inf) > most))
