"""Vocos, the vocoder (Siuzdak 2023, "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders").

Layers are those of the package `vocos`, under the names that its checkpoints have. Weights are random: what a layer gives
varies as far as if it had been trained, so that half precision has as much to round.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import serving.torchaudio_compat  # noqa: F401  vocos imports torchaudio
from workbench.networks.listening import babble
from workbench.networks.unit_variance import standardize
from workbench.networks.weights import received, seeded, spread

# isort: split
from vocos.feature_extractors import MelSpectrogramFeatures
from vocos.heads import ISTFTHead
from vocos.models import VocosBackbone
from vocos.spectral_ops import ISTFT

SAMPLE_RATE = 24_000
FFT, HOP, MEL_BINS = 1024, 256, 100

# What weights are calibrated on: sound for 16 kHz, as if it were for 24.
_UTTERANCES, _SECONDS = 8, 4.0
_COEFFICIENTS = FFT // 2 + 1
_LOUDEST = 1e2
_RADIANS = 3.0
"""Deviation of phases. They go around; magnitudes vary by a factor of e."""


@dataclass(frozen=True)
class Dimensions:
    width: int = 512
    hidden: int = 1536
    blocks: int = 8


MEL_24KHZ = Dimensions()
"""13.5 M parameters: vocos-mel-24khz."""

TINY = Dimensions(width=32, hidden=64, blocks=2)


class Vocoder(nn.Module):
    """All of Vocos but the inverse STFT, which `sound` is: real and imaginary parts where it has complex numbers."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.backbone = VocosBackbone(MEL_BINS, dims.width, dims.hidden, dims.blocks)
        self.head = ISTFTHead(dims.width, FFT, HOP, padding="center")

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of mel magnitudes, [B, 100, T] → STFT coefficients, [B, 513, T] both."""
        logarithms, phases = self.head.out(self.backbone(mel)).transpose(1, 2).chunk(2, dim=1)
        magnitudes = logarithms.exp().clamp(max=_LOUDEST)
        return magnitudes * phases.cos(), magnitudes * phases.sin()


def vocoder(dims: Dimensions, *, seed: int = 0) -> Vocoder:
    """The same for a seed."""
    with seeded(seed):
        model = Vocoder(dims).eval()
    mel = log_mel(torch.stack([babble(_SECONDS, number) for number in range(_UTTERANCES)]))
    standardize(model.backbone, lambda: model.backbone(mel))
    with torch.no_grad():
        hidden = received(model.head.out, lambda: model(mel))
        spread(model.head.out, hidden, 1.0, torch.Generator().manual_seed(seed))
        for parameter in (model.head.out.weight, model.head.out.bias):
            parameter[_COEFFICIENTS:] *= _RADIANS
    return model


def sound(real: Tensor, imaginary: Tensor) -> Tensor:
    """Samples [B, (T - 1) · 256] of coefficients [B, 513, T], by the package's own inverse STFT."""
    samples: Tensor = ISTFT(FFT, HOP, FFT, padding="center")(torch.complex(real, imaginary))
    return samples


def log_mel(samples: Tensor) -> Tensor:
    """[B, samples] → [B, 100, samples / 256 + 1], by the package's own features."""
    features: Tensor = MelSpectrogramFeatures(SAMPLE_RATE, FFT, HOP, MEL_BINS)(samples)
    return features
