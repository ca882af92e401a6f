"""Mean and standard deviation of a window's frames, for each of its speakers.

Reference: pyannote.audio.models.blocks.pooling, https://en.wikipedia.org/wiki/Weighted_arithmetic_mean.
"""

import torch
from torch import Tensor

_TINY = 1e-8


def pooled(frames: Tensor, weights: Tensor) -> Tensor:
    """Statistics (batch, speakers, 2 · dimension) of `frames` (batch, dimension, frames), where `weights` are
    (batch, speakers, frames).

    The standard deviation is the unbiased one. Zeros where all weights are.
    """
    frames, weights = frames.float(), weights.mT
    total = weights.sum(dim=1) + _TINY
    mean = (frames @ weights) / total[:, None]
    spread = torch.stack(
        [
            (frames - mean[..., speaker, None]).square_() @ weights[..., speaker, None]
            for speaker in range(weights.shape[2])
        ],
        dim=2,
    ).squeeze(3)
    variance = spread / (total - weights.square().sum(dim=1) / total + _TINY)[:, None]
    return torch.cat([mean, variance.sqrt()], dim=1).mT


def at_frames(masks: Tensor, frames: int) -> Tensor:
    """Masks (…, mask frames) at as many frames as the trunk makes: the nearest before each."""
    count = masks.shape[-1]
    return masks[..., torch.arange(frames, device=masks.device) * count // frames]
