"""Which windows of a block the embedding network's trunk runs on, and what it hears there of the others. NumPy alone.

Windows overlap by nine tenths, so most of what the trunk hears in one it hears in the next as well. Where it runs on some
windows of a block only, the anchors, these have the embeddings that they would have had by themselves. Another window is
pooled from the frames of the anchors before and after it, the nearer one counting for more, and the less where its own edge
is near, since convolutions see zeros beyond. What differs then from the window's own frames are the mean that is taken from the
features, and the window's own edges.

Frames of two windows lie on the same instants only where the windows start a multiple of eight features apart, so each
phase has anchors of its own: with a step of 1 s, even windows and odd ones.
"""

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Block, Floats

FRAME_SAMPLES = 1_280
"""From one frame of the trunk to the next: eight shifts of its features."""
_EDGE = 14
"""Frames at which the zeros beyond a window's edge are heard: the trunk's receptive field reaches 1.1 s to each side."""

Indices = npt.NDArray[np.intp]


def by_itself(masks: Floats, window: int) -> Floats:
    """What each of the trunk's frames weighs where it runs on every window, (windows, speakers, frames), of the masks' frames.

    The mask's nearest frame before each of the trunk's, as torch interpolates.
    """
    frames = -(-window // FRAME_SAMPLES)
    return masks[..., np.arange(frames) * masks.shape[-1] // frames]


def shared(block: Block, stride: int, window: int) -> tuple[Indices, Floats]:
    """Where the windows of `window` samples start that are run, and what each of their frames weighs, shape
    (windows, speakers, anchors, frames). Of each phase's windows every `stride`-th is an anchor, and the last. Anchors from
    which nothing is pooled are left out, but for one.
    """
    starts = np.array(block.starts)
    anchors = starts[_anchors(starts, stride)]
    heard = by_itself(block.masks, window)
    weights = np.stack(
        [_weights(mask, anchors - start) for mask, start in zip(heard, block.starts, strict=True)]
    )
    used = np.flatnonzero(weights.any(axis=(0, 1, 3)))
    used = used if used.size else np.array([0])
    return anchors[used], weights[:, :, used]


def _anchors(starts: Indices, stride: int) -> Indices:
    phases = [np.flatnonzero(starts % FRAME_SAMPLES == phase) for phase in np.unique(starts % FRAME_SAMPLES)]
    return np.unique(np.concatenate([[*windows[::stride], windows[-1]] for windows in phases]))


def _weights(heard: Floats, offsets: Indices) -> Floats:
    """One window's weights (speakers, frames) on the frames of anchors that start `offsets` samples after it."""
    frames = heard.shape[1]
    weights: Floats = heard[:, _own(offsets, frames).clip(0, frames - 1)] * _shares(offsets, frames)
    return weights


def _own(offsets: Indices, frames: int) -> Indices:
    """Which of a window's frames each frame of the anchors is, (anchors, frames); out of range where it is none."""
    own: Indices = np.arange(frames) + offsets[:, None] // FRAME_SAMPLES
    return own


def _shares(offsets: Indices, frames: int) -> Floats:
    """What each frame of the anchors counts for in a window, (anchors, frames).

    They add up to 1 for each of the window's frames.
    """
    own = _own(offsets, frames)
    covered = (own >= 0) & (own < frames)
    edge = np.minimum(np.arange(frames), np.arange(frames)[::-1]) + 0.5
    counts = np.where(covered, _nearness(offsets)[:, None] * np.minimum(edge / _EDGE, 1.0), 0.0)
    total = np.bincount(own[covered], weights=counts[covered], minlength=frames)
    shares: Floats = np.divide(
        counts, total[own.clip(0, frames - 1)], out=np.zeros_like(counts), where=counts > 0
    )
    return shares.astype(np.float32)


def _nearness(offsets: Indices) -> npt.NDArray[np.float64]:
    """1 for an anchor that is the window; else for those of its phase just before and after it, the more the nearer."""
    nearness = np.zeros(len(offsets))
    phase = np.flatnonzero(offsets % FRAME_SAMPLES == 0)
    before = phase[offsets[phase] <= 0][-1]
    after = phase[offsets[phase] >= 0][0]
    if before == after:
        nearness[before] = 1.0
    else:
        distances = np.array([offsets[after], -offsets[before]])
        nearness[[before, after]] = distances / distances.sum()
    return nearness
