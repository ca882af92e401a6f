"""icefall's Zipformer, second version (Yao et al. 2023, "Zipformer: A faster and better encoder").

Stacks of layers, each at a frame rate of its own: down to an eighth of 50 Hz and up again. Reference: k2-fsa/icefall,
egs/librispeech/ASR/zipformer/zipformer.py and subsampling.py, of which this is what inference needs.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from workbench.networks.icefall_encoder import Encoder, padding_mask
from workbench.networks.swoosh import BiasNorm, SwooshL, SwooshR
from workbench.networks.zipformer_layer import Bypass, Head, Layer, Stack

Size = TypeVar("Size", int, Tensor)

HEAD = Head()
"""As in all of icefall's recipes."""


@dataclass(frozen=True)
class Dimensions:
    """Sizes of an encoder; `frames` is how many frames of 20 ms the table of positions reaches."""

    stacks: tuple[Stack, ...]
    mel_bins: int = 80
    channels: tuple[int, int, int] = (8, 32, 128)
    head: Head = HEAD
    frames: int = 5000

    @property
    def width(self) -> int:
        """Channels of the output."""
        return max(stack.width for stack in self.stacks)


MEDIUM = Dimensions(
    stacks=(
        Stack(layers=2, factor=1, width=192, heads=4, feed_forward=512, kernel=31),
        Stack(layers=2, factor=2, width=256, heads=4, feed_forward=768, kernel=31),
        Stack(layers=3, factor=4, width=384, heads=4, feed_forward=1024, kernel=15),
        Stack(layers=4, factor=8, width=512, heads=8, feed_forward=1536, kernel=15),
        Stack(layers=3, factor=4, width=384, heads=4, feed_forward=1024, kernel=15),
        Stack(layers=2, factor=2, width=256, heads=4, feed_forward=768, kernel=31),
    )
)
"""64 M parameters: icefall's default, "Zipformer-M"."""

TINY = Dimensions(
    stacks=(
        Stack(layers=1, factor=1, width=32, heads=4, feed_forward=64, kernel=15),
        Stack(layers=1, factor=2, width=48, heads=4, feed_forward=64, kernel=15),
        Stack(layers=1, factor=4, width=64, heads=8, feed_forward=96, kernel=7),
        Stack(layers=1, factor=2, width=48, heads=4, feed_forward=64, kernel=15),
    ),
    channels=(4, 8, 16),
    head=Head(query=8, value=6, place=4, positions=16),
)
"""For tests; 100 s of positions."""


class ConvNeXt(nn.Module):
    """Depthwise over 7 frames and 7 bands, then through three times the channels (Liu et al. 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, groups=channels, padding=3)
        self.pointwise_conv1 = nn.Conv2d(channels, 3 * channels, 1)
        self.activation = SwooshL()
        self.pointwise_conv2 = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv2(self.activation(self.pointwise_conv1(self.depthwise_conv(x))))
        return x + y


class Subsampling(nn.Module):
    """Every second frame."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        first, second, third = dims.channels
        self.conv = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=(0, 1)),
            SwooshR(),
            nn.Conv2d(first, second, 3, stride=2),
            SwooshR(),
            nn.Conv2d(second, third, 3, stride=(1, 2)),
            SwooshR(),
        )
        self.convnext = ConvNeXt(third)
        bands = ((dims.mel_bins - 1) // 2 - 1) // 2
        self.out = nn.Linear(third * bands, dims.stacks[0].width)
        self.out_norm = BiasNorm(dims.stacks[0].width)

    def forward(self, features: Tensor) -> Tensor:
        """[N, T, mel] → [N, T', width of the first stack], T' = `subsampled(T)`."""
        x = self.convnext(self.conv(features.unsqueeze(1)))
        return self.out_norm(self.out(x.transpose(1, 2).flatten(start_dim=2)))  # type: ignore[no-any-return]


class CompactPositions(nn.Module):
    """A table for relative positions 1 - `frames` to `frames` - 1, finest around zero: few channels do."""

    table: Tensor

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        positions = torch.arange(1 - frames, frames, dtype=torch.float32).unsqueeze(1)
        near = math.sqrt(channels)
        compressed = near * positions.sign() * torch.log1p(positions.abs() / near)
        angles = torch.atan(compressed * (2 * math.pi / channels)) * torch.arange(1, channels // 2 + 1)
        table = torch.stack((angles.cos(), angles.sin()), dim=2).flatten(start_dim=1)
        # sin of the highest frequency gives way to a bias.
        table[:, -1] = 1.0
        self.register_buffer("table", table.unsqueeze(0), persistent=False)

    def forward(self, frames: int) -> Tensor:
        """[1, 2 `frames` - 1, channels]."""
        center = self.table.shape[1] // 2
        return self.table[:, center - frames + 1 : center + frames]


class Downsample(nn.Module):
    """Learned averages of `factor` frames; the last frame is repeated as often as they ask for."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(factor))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, width] → [N, ceil(T / factor), width]."""
        batch, frames, width = x.shape
        factor = len(self.bias)
        groups = (frames + factor - 1) // factor
        x = torch.cat([x, x[:, -1:].expand(batch, groups * factor - frames, width)], dim=1)
        weights = torch.softmax(self.bias, dim=0).unsqueeze(1)
        return (x.reshape(batch, groups, factor, width) * weights).sum(dim=2)


class StackedLayers(nn.Module):
    def __init__(self, stack: Stack, head: Head) -> None:
        super().__init__()
        self.width = stack.width
        self.layers = nn.ModuleList(Layer(stack, head) for _ in range(stack.layers))

    def forward(self, x: Tensor, positions: CompactPositions, padding: Tensor) -> Tensor:
        """`x` [N, T, any width] → [N, T, width]; `padding` [N, T]."""
        x = with_channels(x, self.width)
        places = positions(x.shape[1])
        for layer in self.layers:
            x = layer(x, places, padding)
        return x


class DownsampledLayers(nn.Module):
    """Down to the stack's frame rate, through its layers, and up again."""

    def __init__(self, stack: Stack, head: Head) -> None:
        super().__init__()
        self.stack = stack
        self.downsample = Downsample(stack.factor)
        self.encoder = StackedLayers(stack, head)
        self.out_combiner = Bypass(stack.width)

    def forward(self, x: Tensor, positions: CompactPositions, padding: Tensor) -> Tensor:
        """As `StackedLayers`, with T at 50 Hz."""
        before = with_channels(x, self.stack.width)
        x = self.encoder(self.downsample(before), positions, padding[:, :: self.stack.factor])
        repeated = x.unsqueeze(2).expand(-1, -1, self.stack.factor, -1).flatten(1, 2)
        return self.out_combiner(before, repeated[:, : before.shape[1]])  # type: ignore[no-any-return]


class Zipformer(Encoder):
    """T' = ceil(`subsampled(T)` / 2).

    Padding reaches an utterance's last frames: ConvNeXt looks three frames ahead, and the averages that slower stacks
    are made of up to seven. Attention carries that, much fainter, to every other frame.
    """

    model_type = "zipformer2"

    def __init__(self, dims: Dimensions) -> None:
        super().__init__(Subsampling(dims), dims.mel_bins, dims.width)
        self.encoder_pos = CompactPositions(dims.head.positions, dims.frames)
        self.encoders = nn.ModuleList(
            (StackedLayers if stack.factor == 1 else DownsampledLayers)(stack, dims.head)
            for stack in dims.stacks
        )
        self.downsample_output = Downsample(2)

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder_embed(x)
        lengths = subsampled(x_lens)
        padding = padding_mask(lengths, x.shape[1])
        outputs = []
        for encoder in self.encoders:
            x = encoder(x, self.encoder_pos, padding)
            outputs.append(x)
        return self.downsample_output(widest(outputs)), (lengths + 1) // 2


def subsampled(size: Size) -> Size:
    """What is left of so many frames when the convolutions have reached over no edge, and one has taken every second."""
    return (size - 7) // 2


def with_channels(x: Tensor, width: int) -> Tensor:
    """The first `width` channels, with zeros for those that there are not."""
    if x.shape[2] >= width:
        return x[:, :, :width]
    return nn.functional.pad(x, (0, width - x.shape[2]))


def widest(outputs: list[Tensor]) -> Tensor:
    """The last output, and for the channels that it does not have the last output that does."""
    pieces = [outputs[-1]]
    width = outputs[-1].shape[2]
    for output in reversed(outputs):
        if output.shape[2] > width:
            pieces.append(output[:, :, width:])
            width = output.shape[2]
    return torch.cat(pieces, dim=2)
