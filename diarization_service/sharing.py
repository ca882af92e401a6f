"""Which windows of a block the embedding network's trunk runs on, and what it hears there of the others. NumPy alone.

Windows overlap by nine tenths, so most of what the trunk hears in one it hears in the next as well. Where only every
`stride`-th window of a block is run, these are the anchors: their own embeddings are exact. Another window is pooled from
the frames of the anchors around it, each instant from the nearest anchor that covers it. What differs then is the mean that
is taken from the features, an anchor's instead of the window's, and what convolutions see at the window's edges.
"""

import numpy as np
import numpy.typing as npt

from diarization_service.stages import Block, Floats, Samples

FRAME_SAMPLES = 1_280
"""From one frame of the trunk to the next: eight shifts of its features."""


def anchors(windows: int, stride: int) -> list[int]:
    """Every `stride`-th of a block's windows and the last."""
    return sorted({*range(0, windows, stride), windows - 1})


def shared(block: Block, stride: int, window: int) -> tuple[Samples, Floats]:
    """The windows of `window` samples to run, shape (anchors, samples), and what each of their frames weighs, shape
    (windows, speakers, anchors, frames). Anchors that nothing is pooled from are left out, but for one.
    """
    starts = np.array(block.starts)[anchors(len(block.starts), stride)]
    weights = np.stack(
        [
            _weights(mask, starts - start, window)
            for mask, start in zip(block.masks, block.starts, strict=True)
        ]
    )
    used = np.flatnonzero(weights.any(axis=(0, 1, 3)))
    used = used if used.size else np.array([0])
    samples = np.stack([block.samples[start : start + window] for start in starts[used]])
    return samples, weights[:, :, used]


def _weights(mask: Floats, offsets: npt.NDArray[np.intp], window: int) -> Floats:
    """One window's mask (speakers, mask frames) on the frames of anchors that start `offsets` samples after it."""
    count, frames = mask.shape[1], -(-window // FRAME_SAMPLES)
    instants = offsets[:, None] + np.arange(frames) * FRAME_SAMPLES
    places = instants * count // (frames * FRAME_SAMPLES)
    heard = (places >= 0) & (places < count)
    nearest = np.argsort(np.abs(offsets), kind="stable")
    for rank, anchor in enumerate(nearest):
        for nearer in offsets[nearest[:rank]]:
            heard[anchor] &= (instants[anchor] < nearer) | (instants[anchor] >= nearer + window)
    weights: Floats = np.where(heard, mask[:, places.clip(0, count - 1)], np.float32(0))
    return weights
