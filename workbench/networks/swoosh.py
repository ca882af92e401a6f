"""The activations and the normalisation of Zipformer (Yao et al. 2023, "Zipformer: A faster and better encoder").

Written out in the steps that icefall exports, since that is what a runtime has to fuse: k2-fsa/icefall,
egs/librispeech/ASR/zipformer/scaling.py.
"""

import torch
from torch import Tensor, nn


class SwooshL(nn.Module):
    """log(1 + exp(x - 4)) - 0.08 x - 0.035: for layers that are mostly off."""

    def forward(self, x: Tensor) -> Tensor:
        return _log_one_plus_exp(x - 4.0) - 0.08 * x - 0.035


class SwooshR(nn.Module):
    """log(1 + exp(x - 1)) - 0.08 x - 0.313261687, which is 0 at 0."""

    def forward(self, x: Tensor) -> Tensor:
        return _log_one_plus_exp(x - 1.0) - 0.08 * x - 0.313261687


class BiasNorm(nn.Module):
    """Divides by the root mean square distance from a learned bias: unlike LayerNorm it keeps the vector's length."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        scales: Tensor = (x - self.bias).square().mean(dim=-1, keepdim=True) ** -0.5 * self.log_scale.exp()
        return x * scales


def _log_one_plus_exp(x: Tensor) -> Tensor:
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    return torch.maximum(zero, x) + torch.log1p(torch.exp(-torch.abs(x)))
