"""Multi-head attention with relative positions (Dai et al. 2019, "Transformer-XL", section 3.3) as NeMo writes it.

Reference: NVIDIA/NeMo, nemo/collections/asr/parts/submodules/multi_head_attention.py.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kernel = Literal["explicit", "sdpa"]

_MASKED = -10000.0
"""Within fp16."""


class RelativePositions(nn.Module):
    """A table of sinusoids for relative positions `frames` - 1 down to 1 - `frames`, sliced by length."""

    table: Tensor

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        positions = torch.arange(frames - 1, -frames, -1, dtype=torch.float32).unsqueeze(1)
        angles = positions * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(start_dim=1)
        self.register_buffer("table", table.unsqueeze(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[1, 2 T - 1, width] for `x` [B, T, width]."""
        frames, center = x.shape[1], self.table.shape[1] // 2
        return self.table[:, center - frames + 1 : center + frames]


class RelativeAttention(nn.Module):
    """`kernel` "explicit" is the matrix products that NeMo exports; "sdpa" fuses them on a GPU."""

    def __init__(self, width: int, heads: int, *, bias: bool, kernel: Kernel) -> None:
        super().__init__()
        self.heads = heads
        self.kernel = kernel
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (
            nn.Linear(width, width, bias=bias) for _ in range(4)
        )
        self.linear_pos = nn.Linear(width, width, bias=False)
        # Zero before training; drawn, so that nothing passes for right that leaves them out.
        self.pos_bias_u = nn.Parameter(torch.randn(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.randn(heads, width // heads))

    def forward(self, x: Tensor, positions: Tensor, masked: Tensor) -> Tensor:
        """`x` [B, T, width], `positions` [1, 2 T - 1, width]; pairs that are True in `masked` [B, 1, T, T] do not meet."""
        queries = self._split(self.linear_q(x))
        keys, values, places = (
            self._split(part).transpose(1, 2)
            for part in (self.linear_k(x), self.linear_v(x), self.linear_pos(positions))
        )
        by_content = (queries + self.pos_bias_u).transpose(1, 2)
        by_place = (queries + self.pos_bias_v).transpose(1, 2) @ places.transpose(-2, -1)
        by_place = shifted(by_place)[:, :, :, : keys.shape[2]]
        attend = self._fused if self.kernel == "sdpa" else self._explicit
        attended = attend(by_content, keys, values, by_place, masked)
        return self.linear_out(attended.transpose(1, 2).flatten(start_dim=2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, x.shape[2] // self.heads)

    @staticmethod
    def _explicit(queries: Tensor, keys: Tensor, values: Tensor, by_place: Tensor, masked: Tensor) -> Tensor:
        scores = (queries @ keys.transpose(-2, -1) + by_place) / math.sqrt(queries.shape[-1])
        weights = torch.softmax(scores.masked_fill(masked, _MASKED), dim=-1).masked_fill(masked, 0.0)
        return weights @ values

    @staticmethod
    def _fused(queries: Tensor, keys: Tensor, values: Tensor, by_place: Tensor, masked: Tensor) -> Tensor:
        scores = (by_place / math.sqrt(queries.shape[-1])).masked_fill(masked, _MASKED)
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=scores)


def shifted(scores: Tensor) -> Tensor:
    """Row i of [B, heads, T, 2 T - 1] moved so that column j is the score of relative position i - j."""
    batch, heads, queries, positions = scores.shape
    padded = functional.pad(scores, (1, 0)).view(batch, heads, positions + 1, queries)
    return padded[:, :, 1:].view(batch, heads, queries, positions)
