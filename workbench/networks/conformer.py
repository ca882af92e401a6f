"""The Conformer that icefall reworked for its pruned transducers: no normalisation but one at each layer's end.

Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition". Reference: k2-fsa/icefall,
egs/librispeech/ASR/pruned_transducer_stateless2/conformer.py, of which this is what inference needs.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.networks.icefall_encoder import Encoder, aligned, padding_mask
from workbench.networks.relative_attention import RelativePositions

Size = TypeVar("Size", int, Tensor)


@dataclass(frozen=True)
class Dimensions:
    """Sizes of an encoder; `frames` is how many encoder frames of 40 ms the table of positions reaches."""

    mel_bins: int = 80
    channels: tuple[int, int, int] = (8, 32, 128)
    width: int = 512
    heads: int = 8
    feed_forward: int = 2048
    kernel: int = 31
    layers: int = 12
    frames: int = 5000


LIBRISPEECH = Dimensions()
"""77 M parameters: pruned_transducer_stateless, trained on LibriSpeech."""

TINY = Dimensions(channels=(4, 8, 16), width=64, heads=4, feed_forward=128, kernel=15, layers=2, frames=2500)
"""For tests; 100 s of positions."""


class DoubleSwish(nn.Module):
    """x · sigmoid(x - 1), which is close to swish(swish(x))."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x - 1)


class BasicNorm(nn.Module):
    """Divides by the root mean square of the channels; a learned epsilon lets small vectors stay small."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.tensor(0.25))

    def forward(self, x: Tensor) -> Tensor:
        scales: Tensor = (x.square().mean(dim=-1, keepdim=True) + self.eps) ** -0.5
        return x * scales


class Subsampling(nn.Module):
    """Every fourth frame, by two convolutions of stride 2 that reach over no edge."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        first, second, third = dims.channels
        self.conv = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1),
            DoubleSwish(),
            nn.Conv2d(first, second, 3, stride=2),
            DoubleSwish(),
            nn.Conv2d(second, third, 3, stride=2),
            DoubleSwish(),
        )
        self.out = nn.Linear(third * subsampled(dims.mel_bins), dims.width)
        self.out_norm = BasicNorm()

    def forward(self, features: Tensor) -> Tensor:
        """[N, T, mel] → [N, T', width], T' = `subsampled(T)`."""
        x = self.conv(features.unsqueeze(1))
        return self.out_norm(self.out(x.transpose(1, 2).flatten(start_dim=2)))  # type: ignore[no-any-return]


class RelativeAttention(nn.Module):
    """Multi-head attention with relative positions (Dai et al. 2019, "Transformer-XL", section 3.3)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, 1, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, 1, width // heads))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        """`x` [N, T, width], `positions` [1, 2 T - 1, width]; nothing looks at frames that `padding` [N, T] marks."""
        queries, keys, values = (self._split(part) for part in self.in_proj(x).chunk(3, dim=-1))
        queries = queries * queries.shape[-1] ** -0.5
        by_content = (queries + self.pos_bias_u) @ keys.transpose(-2, -1)
        places = self._split(self.linear_pos(positions))
        by_place = (queries + self.pos_bias_v) @ places.transpose(-2, -1)
        scores = (by_content + aligned(by_place)).masked_fill(padding[:, None, None], -torch.inf)
        attended = torch.softmax(scores, dim=-1) @ values
        return self.out_proj(attended.transpose(1, 2).flatten(start_dim=2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)


class Convolution(nn.Module):
    """Pointwise with GLU, depthwise, DoubleSwish, pointwise."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.activation = DoubleSwish()
        self.pointwise_conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """`x` [N, T, width]; frames that are True in `padding` [N, T] reach no other frame."""
        x = functional.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1)
        x = self.depthwise_conv(x.masked_fill(padding.unsqueeze(1), 0.0))
        return self.pointwise_conv2(self.activation(x)).transpose(1, 2)  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and convolution between two feed-forward modules; each adds to what came in, at full strength."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.feed_forward_macaron = _feed_forward(dims)
        self.self_attn = RelativeAttention(dims.width, dims.heads)
        self.conv_module = Convolution(dims.width, dims.kernel)
        self.feed_forward = _feed_forward(dims)
        self.norm_final = BasicNorm()

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
        x = x + self.feed_forward_macaron(x)
        x = x + self.self_attn(x, positions, padding)
        x = x + self.conv_module(x, padding)
        x = x + self.feed_forward(x)
        return self.norm_final(x)  # type: ignore[no-any-return]


class Conformer(Encoder):
    """T' = `subsampled(T)`.

    An utterance's frames do not depend on how much padding follows it, if that is zero: the first convolution looks
    one frame ahead, and pads with zero itself. Exports of 2022 do not mask the convolution modules, and do depend.
    """

    model_type = "conformer"

    def __init__(self, dims: Dimensions) -> None:
        super().__init__(Subsampling(dims), dims.mel_bins, dims.width)
        self.encoder_pos = RelativePositions(dims.width, dims.frames)
        self.layers = nn.ModuleList(Layer(dims) for _ in range(dims.layers))

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder_embed(x)
        lengths = subsampled(x_lens)
        padding = padding_mask(lengths, x.shape[1])
        positions = self.encoder_pos(x)
        for layer in self.layers:
            x = layer(x, positions, padding)
        return x, lengths


def subsampled(size: Size) -> Size:
    """What the two strides leave of so many frames, or bins."""
    return ((size - 1) // 2 - 1) // 2


def _feed_forward(dims: Dimensions) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(dims.width, dims.feed_forward), DoubleSwish(), nn.Linear(dims.feed_forward, dims.width)
    )
