"""What icefall's encoders have in common."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Log-mel features in, frames of 40 ms out. Runs in fp32 and, after `.half()`, in fp16."""

    model_type: ClassVar[str]
    """As the metadata of exports call the architecture."""

    def __init__(self, embed: nn.Module, mel_bins: int, width: int) -> None:
        super().__init__()
        self.encoder_embed = embed
        self.mel_bins = mel_bins
        self.width = width

    @abstractmethod
    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, T, mel] and lengths [N] int64 → frames [N, T', width] and lengths [N] int64."""


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """True at the frames, of so many, behind an utterance's last one: [N, frames]."""
    return torch.arange(frames, device=lengths.device) >= lengths.unsqueeze(1)


def aligned(scores: Tensor) -> Tensor:
    """Scores [N, heads, T, 2 T - 1] of relative positions → those of pairs, [N, heads, T, T]: row i begins at T - 1 - i.

    Picked by index, as in icefall's exports: striding over the same memory, as it trains, has no counterpart in ONNX.
    """
    frames = scores.shape[2]
    steps = torch.arange(frames, device=scores.device)
    columns = frames - 1 - steps.unsqueeze(1) + steps
    return scores.gather(3, columns.expand(scores.shape[0], scores.shape[1], frames, frames))
