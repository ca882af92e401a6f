"""Relative positions as icefall's exports compute them."""

import torch
from torch import Tensor


def aligned(scores: Tensor) -> Tensor:
    """Scores [N, heads, T, 2 T - 1] of relative positions T - 1 down to 1 - T → those of pairs, [N, heads, T, T].

    Picked by index: striding over the same memory, as icefall does when it trains, has no counterpart in ONNX.
    """
    frames = scores.shape[2]
    steps = torch.arange(frames, device=scores.device)
    columns = frames - 1 - steps.unsqueeze(1) + steps
    return scores.gather(3, columns.expand(scores.shape[0], scores.shape[1], frames, frames))


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """True at the frames, of so many, behind an utterance's last one: [N, frames]."""
    return torch.arange(frames, device=lengths.device) >= lengths.unsqueeze(1)
