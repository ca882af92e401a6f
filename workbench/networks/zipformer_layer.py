"""A layer of Zipformer: attention weights are computed once and used three times.

Reference: k2-fsa/icefall, egs/librispeech/ASR/zipformer/zipformer.py, of which this is what inference needs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.networks.icefall_encoder import aligned
from workbench.networks.swoosh import BiasNorm, SwooshL, SwooshR

_MASKED = -1000.0


@dataclass(frozen=True)
class Stack:
    """Layers at one frame rate, of every `factor`th frame, and their sizes."""

    layers: int
    factor: int
    width: int
    heads: int
    feed_forward: int
    kernel: int


@dataclass(frozen=True)
class Head:
    """Channels of one attention head, and of the encoding that positions come in."""

    query: int = 32
    value: int = 12
    place: int = 4
    positions: int = 48


class AttentionWeights(nn.Module):
    """What each frame looks at: by content, and by relative position as far as the query asks for it."""

    def __init__(self, width: int, heads: int, head: Head) -> None:
        super().__init__()
        self.heads = heads
        self.parts = [heads * head.query, heads * head.query, heads * head.place]
        self.in_proj = nn.Linear(width, sum(self.parts))
        self.linear_pos = nn.Linear(head.positions, heads * head.place, bias=False)

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        """`x` [N, T, width], `positions` [1, 2 T - 1, …], `padding` [N, T] → [N, heads, T, T]."""
        queries, keys, wanted = (
            split_heads(part, self.heads) for part in self.in_proj(x).split(self.parts, dim=-1)
        )
        places = split_heads(self.linear_pos(positions), self.heads)
        scores = queries @ keys.transpose(-2, -1) + aligned(wanted @ places.transpose(-2, -1))
        return torch.softmax(scores.masked_fill(padding[:, None, None], _MASKED), dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int, head: Head) -> None:
        super().__init__()
        self.in_proj = nn.Linear(width, heads * head.value)
        self.out_proj = nn.Linear(heads * head.value, width)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        values = split_heads(self.in_proj(x), weights.shape[1])
        return self.out_proj(join_heads(weights @ values))  # type: ignore[no-any-return]


class NonlinAttention(nn.Module):
    """Gated before and after it is mixed over time by one head's weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 3 * width // 4
        self.in_proj = nn.Linear(width, 3 * hidden)
        self.out_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        before, x, after = self.in_proj(x).chunk(3, dim=-1)
        mixed = join_heads(weights @ split_heads(x * torch.tanh(before), 1))
        return self.out_proj(mixed * after)  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """Gated, depthwise, SwooshR. Frames that are padding reach no other."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(width, 2 * width)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, groups=width, padding=kernel // 2)
        self.activation = SwooshR()
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = (x * torch.sigmoid(gate)).transpose(1, 2).masked_fill(padding.unsqueeze(1), 0.0)
        x = self.depthwise_conv(x).transpose(1, 2)
        return self.out_proj(self.activation(x))  # type: ignore[no-any-return]


class Bypass(nn.Module):
    """Channel by channel, somewhere between what came in and what came out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bypass_scale = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        return before + (after - before) * self.bypass_scale


class Layer(nn.Module):
    """About two Conformer layers; feed-forward modules of three quarters, one and five quarters of the size."""

    def __init__(self, stack: Stack, head: Head) -> None:
        super().__init__()
        width = stack.width
        self.self_attn_weights = AttentionWeights(width, stack.heads, head)
        self.feed_forward1 = feed_forward(width, stack.feed_forward * 3 // 4)
        self.nonlin_attention = NonlinAttention(width)
        self.self_attn1 = SelfAttention(width, stack.heads, head)
        self.conv_module1 = Convolution(width, stack.kernel)
        self.feed_forward2 = feed_forward(width, stack.feed_forward)
        self.bypass_mid = Bypass(width)
        self.self_attn2 = SelfAttention(width, stack.heads, head)
        self.conv_module2 = Convolution(width, stack.kernel)
        self.feed_forward3 = feed_forward(width, stack.feed_forward * 5 // 4)
        self.norm = BiasNorm(width)
        self.bypass = Bypass(width)

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        """`x` [N, T, width], `positions` [1, 2 T - 1, …] → [N, T, width]; True in `padding` [N, T] is masked."""
        before = x
        weights = self.self_attn_weights(x, positions, padding)
        x = x + self.feed_forward1(x)
        x = x + self.nonlin_attention(x, weights[:, :1])
        x = x + self.self_attn1(x, weights)
        x = x + self.conv_module1(x, padding)
        x = x + self.feed_forward2(x)
        x = self.bypass_mid(before, x)
        x = x + self.self_attn2(x, weights)
        x = x + self.conv_module2(x, padding)
        x = x + self.feed_forward3(x)
        return self.bypass(before, self.norm(x))  # type: ignore[no-any-return]


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), SwooshL(), nn.Linear(hidden, width))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[N, T, heads · channels] → [N, heads, T, channels]."""
    return x.view(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[N, heads, T, channels] → [N, T, heads · channels]."""
    return x.transpose(1, 2).flatten(start_dim=2)
