"""Mean and standard deviation of the trunk's frames, for each of several speakers.

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
    total = weights.sum(dim=1, keepdim=True) + _TINY
    # Squares are taken around a center that all speakers share, so that two products do for all of them.
    center = frames.mean(dim=2, keepdim=True)
    frames = frames - center
    mean = frames @ weights / total
    spread = frames.square() @ weights - total * mean.square()
    freedom = total - weights.square().sum(dim=1, keepdim=True) / total
    # A single frame has no spread, whatever rounding leaves of it.
    variance = torch.where(freedom > _TINY * 100, spread.clamp_min_(0) / (freedom + _TINY), 0)
    spoken = (total > _TINY).to(mean.dtype)
    return torch.cat([(mean + center) * spoken, variance.sqrt_()], dim=1).mT
