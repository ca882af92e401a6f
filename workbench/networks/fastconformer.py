"""NeMo's FastConformer encoder (Rekesh et al. 2023, "Fast Conformer with Linearly Scalable Attention").

Reference: NVIDIA/NeMo, nemo/collections/asr/modules/conformer_encoder.py; exports bear its names of inputs and outputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.networks import exporting
from workbench.networks.masked_subsampling import FACTOR, MaskedSubsampling
from workbench.networks.relative_attention import Kernel, RelativeAttention, RelativePositions

DEPTHWISE = 9
_BRANCH = 0.3
INPUTS = exporting.numbered(audio_signal=(0, 2), length=(0,))
OUTPUTS = exporting.numbered(outputs=(0, 2), encoded_lengths=(0,))


@dataclass(frozen=True)
class Dimensions:
    """Sizes of an encoder; `frames` is how many encoder frames of 80 ms the table of positions reaches."""

    mel_bins: int = 80
    layers: int = 17
    width: int = 512
    heads: int = 8
    channels: int = 256
    bias: bool = True
    # Inputs of the first layer times the root of the width.
    scaled: bool = True
    frames: int = 5000


LARGE = Dimensions()
"""109 M parameters, 80 mel bins: stt_en_fastconformer_*_large."""

PARAKEET_0_6B = Dimensions(mel_bins=128, layers=24, width=1024, bias=False, scaled=False)
"""609 M parameters: parakeet-tdt-0.6b-v2 and -v3."""

TINY = Dimensions(layers=2, width=64, heads=4, channels=16, frames=1250)
"""For tests; 100 s of positions."""


class FeedForward(nn.Module):
    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, 4 * width, bias=bias)
        self.linear2 = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(functional.silu(self.linear1(x)))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """Pointwise with GLU, depthwise over 9 frames, batch normalisation, SiLU, pointwise."""

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=bias)
        self.depthwise_conv = nn.Conv1d(width, width, DEPTHWISE, groups=width, bias=bias)
        self.batch_norm = nn.BatchNorm1d(width)
        # A trained layer changes its input a little. Where a fresh one changes it as much as this branch could, two dozen of
        # them make noise of what they hear, and of what half precision rounds away.
        nn.init.constant_(self.batch_norm.weight, _BRANCH)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=bias)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """`x` [B, T, width]; frames that are True in `padding` [B, T] reach no other frame."""
        x = functional.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1)
        x = x.masked_fill(padding.unsqueeze(1), 0.0)
        # Padded apart from the convolution, as NeMo's, which can be causal, has it.
        x = self.depthwise_conv(functional.pad(x, (DEPTHWISE // 2, DEPTHWISE // 2)))
        x = self.pointwise_conv2(functional.silu(self.batch_norm(x)))
        return x.transpose(1, 2)


class Layer(nn.Module):
    def __init__(self, dims: Dimensions, kernel: Kernel) -> None:
        super().__init__()
        norms = (nn.LayerNorm(dims.width) for _ in range(5))
        (
            self.norm_feed_forward1,
            self.norm_self_att,
            self.norm_conv,
            self.norm_feed_forward2,
            self.norm_out,
        ) = norms
        self.feed_forward1 = FeedForward(dims.width, bias=dims.bias)
        self.self_attn = RelativeAttention(dims.width, dims.heads, bias=dims.bias, kernel=kernel)
        self.conv = Convolution(dims.width, bias=dims.bias)
        self.feed_forward2 = FeedForward(dims.width, bias=dims.bias)

    def forward(self, x: Tensor, positions: Tensor, padding: Tensor, masked: Tensor) -> Tensor:
        x = x + 0.5 * self.feed_forward1(self.norm_feed_forward1(x))
        x = x + self.self_attn(self.norm_self_att(x), positions, masked)
        x = x + self.conv(self.norm_conv(x), padding)
        x = x + 0.5 * self.feed_forward2(self.norm_feed_forward2(x))
        return self.norm_out(x)  # type: ignore[no-any-return]


class FastConformer(nn.Module):
    """Runs in fp32 and, after `.half()`, in fp16."""

    def __init__(self, dims: Dimensions, *, attention: Kernel = "explicit") -> None:
        super().__init__()
        self.dims = dims
        self.pre_encode = MaskedSubsampling(dims.mel_bins, dims.channels, dims.width)
        self.pos_enc = RelativePositions(dims.width, dims.frames)
        self.layers = nn.ModuleList(Layer(dims, attention) for _ in range(dims.layers))

    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, mel, T] and lengths [B] int64 → [B, width, ceil(T / 8)] and their lengths [B] int64.

        An utterance's frames do not depend on its padding; the padding's own frames mean nothing.
        """
        x, lengths = self.pre_encode(audio_signal.transpose(1, 2), length)
        if self.dims.scaled:
            x = x * math.sqrt(self.dims.width)
        positions = self.pos_enc(x)
        padding = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
        masked = (padding.unsqueeze(1) | padding.unsqueeze(2)).unsqueeze(1)
        for layer in self.layers:
            x = layer(x, positions, padding, masked)
        return x.transpose(1, 2), lengths


def example(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features and lengths of two utterances, one of them padded."""
    return torch.randn(2, mel_bins, 25 * FACTOR), torch.tensor([25 * FACTOR, 17 * FACTOR])


def export(model: FastConformer, path: Path, metadata: Mapping[str, object] | None = None) -> None:
    """Writes the encoder as NeMo exports it: `audio_signal`, `length` → `outputs`, `encoded_lengths`."""
    inputs = example(model.dims.mel_bins)
    exporting.export(model, inputs, path, inputs=INPUTS, outputs=OUTPUTS, metadata=metadata)
