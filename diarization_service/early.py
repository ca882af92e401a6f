"""Who is who while audio arrives: clustering of what was heard so far, at a bounded cost an update.

Embeddings gather in groups, at first one each. An update links the groups' means as the final clustering links embeddings,
cuts where that would cut, and gives the clusters the names under which most of their speech went before. When there are too
many groups, those of one name that come to be linked first are joined for good: at most a few hundred groups stand for any
length of audio, and what an update costs does not grow with it.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from diarization_service.clustering import MIN_CLUSTER_SIZE, Mask
from diarization_service.cutting import UNKNOWN, Names, speakers_among
from diarization_service.merging import Merge, Places, clusters_after, merges
from diarization_service.rows import Rows
from diarization_service.stages import Floats
from serving.speakers import SpeakerBounds

_MOST_GROUPS = 256
_ROWS_AT_ONCE = 64
# A group keeps its name unless another speaker is nearer by more than this cosine.
_STICKINESS = 0.15
# So many updates in a row have to find fewer speakers before there are: a mean between two voices may join them for a while.
_PATIENCE = 4


class EarlyClustering:
    """As `early_turns.EarlyClustering` has it."""

    def __init__(self, bounds: SpeakerBounds, dimension: int) -> None:
        self._bounds = bounds
        self._sums = np.zeros((0, dimension), np.float32)
        # Embeddings of a group that may found a speaker, and all of them.
        self._weights = np.zeros(0, np.float32)
        self._sizes = np.zeros(0, np.float32)
        self._names = np.zeros(0, np.int64)
        self._group_of = Rows(1, np.int32)
        self._stale = False
        # Updates in a row that found fewer speakers.
        self._fewer = 0

    def add(self, embeddings: Floats, clean: Mask) -> None:
        """The next local speakers, with embeddings of shape (local speakers, dimension), NaN where there is none.

        Only those that are `clean` found speakers.
        """
        for start in range(0, len(embeddings), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            self._add(embeddings[some], clean[some])
            if len(self._sums) > _MOST_GROUPS:
                self._update()

    def labels(self) -> Names:
        """The speaker of every local speaker added so far, from 0; UNKNOWN for those without an embedding."""
        if self._stale:
            self._update()
        # The last group, -1, is that of those without an embedding.
        names: Names = np.append(self._names, UNKNOWN)[self._group_of.rows[:, 0]]
        return names

    def _add(self, embeddings: Floats, clean: Mask) -> None:
        norms = np.linalg.norm(embeddings, axis=1)
        known = np.isfinite(norms) & (norms > 0)
        groups = np.full((len(embeddings), 1), -1, np.int32)
        groups[known, 0] = len(self._sums) + np.arange(np.count_nonzero(known))
        self._group_of.append(groups)
        self._sums = np.vstack([self._sums, embeddings[known] / norms[known, None]])
        self._weights = np.append(self._weights, clean[known].astype(np.float32))
        self._sizes = np.append(self._sizes, np.ones(np.count_nonzero(known), np.float32))
        self._names = np.append(self._names, np.full(np.count_nonzero(known), UNKNOWN))
        self._stale = True

    def _update(self) -> None:
        self._stale = False
        founding = np.flatnonzero(self._weights)
        found: list[Merge] = []
        if founding.size:
            weights = self._weights[founding]
            found = merges(self._sums[founding] / weights[:, None], weights)
            self._name(
                founding,
                self._lasting(founding, speakers_among(found, weights, self._names[founding], self._bounds)),
            )
        else:
            # As the final clustering has it where nobody speaks alone for long enough.
            self._names[:] = 0
        if len(self._sums) > _MOST_GROUPS:
            self._join(self._joined(founding, found))

    def _lasting(self, founding: Places, speakers: Places) -> Places:
        """`speakers`, or, where they are fewer than before and have not been for long, those known by name.

        Only where all of those could be final: of little speech, most is found at first, and it is soon found out.
        """
        names = self._names[founding]
        known, weights = np.unique(names[names != UNKNOWN]), np.bincount(names + 1, self._weights[founding])
        is_hasty = speakers.max() + 1 < known.size and weights[known + 1].min() >= MIN_CLUSTER_SIZE
        self._fewer = self._fewer + 1 if is_hasty else 0
        if not 0 < self._fewer <= _PATIENCE:
            self._fewer = 0
            return speakers
        return np.where(names == UNKNOWN, -1, np.searchsorted(known, names))

    def _name(self, founding: Places, speakers: Places) -> None:
        """Name all groups, given the speaker of each of those that found one, from 0 on, -1 where it does not."""
        members = [founding[speakers == speaker] for speaker in range(speakers.max() + 1)]
        names = self._names_of(members)
        voices = _directions(np.stack([self._sums[some].sum(axis=0) for some in members]))
        nearness = _directions(self._sums) @ voices.T
        nearness[self._names[:, None] == names] += _STICKINESS
        self._names = names[nearness.argmax(axis=1)]

    def _names_of(self, members: list[Places]) -> Names:
        """For each speaker the name by which most of its embeddings were known, each name once; else a new one."""
        known = int(self._names.max(initial=UNKNOWN)) + 1
        shared = np.zeros((len(members), known + 1))
        for speaker, some in enumerate(members):
            np.add.at(shared[speaker], self._names[some], self._sizes[some])
        # The last column counts those that have no name yet.
        speakers, names = linear_sum_assignment(shared[:, :known], maximize=True)
        chosen = np.full(len(members), UNKNOWN)
        kept = shared[speakers, names] > 0
        chosen[speakers[kept]] = names[kept]
        free = np.setdiff1d(np.arange(known + len(members)), chosen)
        chosen[chosen == UNKNOWN] = free[: np.count_nonzero(chosen == UNKNOWN)]
        return chosen

    def _joined(self, founding: Places, found: list[Merge]) -> Places:
        """For each group the one to join: about half as many are left."""
        if not founding.size:
            return np.zeros(len(self._sums), np.intp)
        names = self._names[founding]
        early = found[: max(0, founding.size - _MOST_GROUPS // 2)]
        alike = [merge for merge in early if names[merge.kept] == names[merge.gone]]
        directions = _directions(self._sums)
        nearness = directions @ directions[founding].T + (self._names[:, None] == names)
        nearest = nearness.argmax(axis=1)
        nearest[founding] = np.arange(founding.size)
        joined: Places = founding[clusters_after(alike, founding.size)[nearest]]
        return joined

    def _join(self, joined: Places) -> None:
        left, places = np.unique(joined, return_inverse=True)
        self._names = self._names[left]
        sums = np.zeros((len(left), self._sums.shape[1]), np.float32)
        # Who founds no speaker does not move the group's mean.
        founding = self._weights > 0
        np.add.at(sums, places[founding], self._sums[founding])
        self._sums = np.where(sums.any(axis=1, keepdims=True), sums, self._sums[left])
        self._weights, self._sizes = (
            np.bincount(places, values, len(left)).astype(np.float32)
            for values in (self._weights, self._sizes)
        )
        rows = self._group_of.rows
        rows[rows >= 0] = places[rows[rows >= 0]]


def _directions(vectors: Floats) -> Floats:
    units: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units
