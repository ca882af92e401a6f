"""NeMo's convolutional encoders: Jasper (Li et al. 2019), QuartzNet (Kriman et al. 2019), Citrinet (Majumdar et al. 2021).

Reference: NVIDIA/NeMo, nemo/collections/asr/parts/submodules/jasper.py and examples/asr/conf/. As in its exports, convolutions
do not mask padding; Citrinet's squeeze-and-excitation does. So the last frames of a padded utterance differ from those
that it has alone.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

_SQUEEZE = 8


@dataclass(frozen=True)
class Block:
    """`repeat` convolutions, the last of them with the stride; "dense": blocks so marked add up what all of them before gave."""

    filters: int
    kernel: int
    repeat: int = 5
    stride: int = 1
    dilation: int = 1
    residual: bool = True
    dense: bool = False
    separable: bool = True
    squeeze: bool = False


@dataclass(frozen=True)
class Dimensions:
    mel_bins: int
    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        return self.blocks[-1].filters

    @property
    def subsampling(self) -> int:
        return math.prod(block.stride for block in self.blocks)

    @classmethod
    def jasper(cls, mel_bins: int = 64, *, repeat: int = 5, divisor: int = 1) -> Self:
        """Jasper 10x5 with dense residuals, 333 M parameters; `divisor` makes it narrower."""
        sizes = ((256, 11), (384, 13), (512, 17), (640, 21), (768, 25))
        middle = (
            Block(filters // divisor, kernel, repeat, dense=True, separable=False)
            for filters, kernel in sizes
            for _ in range(2)
        )
        first = Block(256 // divisor, 11, 1, stride=2, residual=False, separable=False)
        last = (
            Block(896 // divisor, 29, 1, dilation=2, residual=False, separable=False),
            Block(1024 // divisor, 1, 1, residual=False, separable=False),
        )
        return cls(mel_bins, (first, *middle, *last))

    @classmethod
    def quartznet(cls, mel_bins: int = 64, *, copies: int = 3, repeat: int = 5, divisor: int = 1) -> Self:
        """QuartzNet 15x5, 19 M parameters, with 3 copies of each of its 5 blocks."""
        sizes = ((256, 33), (256, 39), (512, 51), (512, 63), (512, 75))
        middle = (
            Block(filters // divisor, kernel, repeat) for filters, kernel in sizes for _ in range(copies)
        )
        first = Block(256 // divisor, 33, 1, stride=2, residual=False)
        last = (
            Block(512 // divisor, 87, 1, dilation=2, residual=False),
            Block(1024 // divisor, 1, 1, residual=False, separable=False),
        )
        return cls(mel_bins, (first, *middle, *last))

    @classmethod
    def citrinet(cls, filters: int = 512, final: int = 640, *, mel_bins: int = 80, repeat: int = 5) -> Self:
        """Citrinet-C of C `filters`: 512 has 36 M parameters, 1024 has 142 M."""
        kernels = (range(11, 22, 2), range(13, 26, 2), range(25, 40, 2))
        middle = (
            Block(filters, kernel, repeat, stride=2 if kernel == mega[0] else 1, squeeze=True)
            for mega in kernels
            for kernel in mega
        )
        first = Block(filters, 5, 1, residual=False, squeeze=True)
        return cls(mel_bins, (first, *middle, Block(final, 41, 1, residual=False, squeeze=True)))


class SqueezeExcite(nn.Module):
    """Weighs channels by what they are on average over an utterance, and zeroes its padding (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // _SQUEEZE, bias=False),
            nn.ReLU(),
            nn.Linear(channels // _SQUEEZE, channels, bias=False),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`x` [B, channels, T], `lengths` [B]."""
        padding = torch.arange(x.shape[2], device=x.device) >= lengths[:, None, None]
        x = x.masked_fill(padding, 0.0)
        mean = x.sum(dim=2, keepdim=True) / (~padding).sum(dim=2, keepdim=True).to(x.dtype)
        return x * torch.sigmoid(self.fc(mean.transpose(1, 2)).transpose(1, 2))


class JasperBlock(nn.Module):
    """Takes and gives the outputs that a later dense block may want, the newest last."""

    def __init__(self, block: Block, panes: tuple[int, ...]) -> None:
        super().__init__()
        self.block = block
        widths = [panes[-1]] + [block.filters] * block.repeat
        self.convolutions = nn.ModuleList(
            _convolution(block, widths[i], block.stride if i == block.repeat - 1 else 1)
            for i in range(block.repeat)
        )
        self.squeeze = SqueezeExcite(block.filters) if block.squeeze else None
        sources = panes if block.dense else panes[-1:]
        self.residuals = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, block.filters, 1, block.stride, bias=False), _norm(block.filters))
            for width in (sources if block.residual else ())
        )

    def forward(self, panes: list[Tensor], lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Panes [B, channels, T] with lengths [B]."""
        x = panes[-1]
        for index, convolution in enumerate(self.convolutions):
            x = convolution(x if index == 0 else torch.relu(x))
        lengths = torch.div(lengths - 1, self.block.stride, rounding_mode="trunc") + 1
        if self.squeeze is not None:
            x = self.squeeze(x, lengths)
        # None without residuals.
        for residual, pane in zip(self.residuals, panes if self.block.dense else panes[-1:], strict=False):
            x = x + residual(pane)
        x = torch.relu(x)
        return ([*panes, x] if self.block.dense else [x]), lengths


class Jasper(nn.Module):
    """A stack of blocks, whatever they are made of."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.dims = dims
        panes: tuple[int, ...] = (dims.mel_bins,)
        blocks = []
        for block in dims.blocks:
            blocks.append(JasperBlock(block, panes))
            panes = (*panes, block.filters) if block.dense else (block.filters,)
        self.encoder = nn.ModuleList(blocks)

    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, mel, T] and lengths [B] int64 → [B, width, T / subsampling, rounded up] and their lengths [B]."""
        panes = [audio_signal]
        for block in self.encoder:
            panes, length = block(panes, length)
        return panes[-1], length


def _convolution(block: Block, width: int, stride: int) -> nn.Sequential:
    padding = block.dilation * (block.kernel - 1) // 2
    sizes = (block.kernel, stride, padding, block.dilation)
    if block.separable:
        layers = [
            nn.Conv1d(width, width, *sizes, groups=width, bias=False),
            nn.Conv1d(width, block.filters, 1, bias=False),
        ]
    else:
        layers = [nn.Conv1d(width, block.filters, *sizes, bias=False)]
    return nn.Sequential(*layers, _norm(block.filters))


def _norm(channels: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(channels, eps=1e-3)
