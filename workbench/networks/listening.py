"""Something to listen to: sound that changes as speech does, and features of it, to calibrate random weights on."""

import math

import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
FFT = 512

# Low and high hertz of each resonance of the vocal tract.
_FORMANTS = ((250.0, 900.0), (800.0, 2500.0), (2000.0, 3800.0), (3500.0, 7000.0))
_BANDWIDTH = 250.0
_CHANGES = 8
"""Targets a second between which pitch, resonances and loudness glide."""


def babble(seconds: float, seed: int) -> Tensor:
    """Pulses and noise through moving resonances, with pauses: [samples] at 16 kHz within [-1, 1], the same for a seed."""
    source = torch.Generator().manual_seed(seed)
    samples = round(seconds * SAMPLE_RATE)
    pitch = _glide(80, 280, samples, source)
    pulses = (pitch.double() / SAMPLE_RATE).cumsum(0).floor().diff(prepend=torch.zeros(1)).float()
    voiced = (_glide(-1, 2, samples, source)).clamp(0, 1)
    excitation = voiced * pulses * 8 + (1 - voiced) * torch.randn(samples, generator=source)
    window = torch.hann_window(FFT)
    spectrum = torch.stft(excitation, FFT, HOP, window=window, pad_mode="constant", return_complex=True)
    shaped = spectrum * _envelope(spectrum.shape[1], source)
    sound = torch.istft(shaped, FFT, HOP, window=window, length=samples)
    return 0.5 * sound / sound.abs().max().clamp(min=1e-3)


def log_mel(samples: Tensor, bins: int) -> Tensor:
    """Logarithms of mel energies every 10 ms, [bins, frames]: near to any toolkit's features, equal to none."""
    window = functional.pad(torch.hann_window(WINDOW, periodic=False), (0, FFT - WINDOW))
    spectrum = torch.stft(samples, FFT, HOP, window=window, pad_mode="constant", return_complex=True)
    return (_mel_filters(bins) @ spectrum.abs().square() + 1e-7).log()


def normalized(features: Tensor) -> Tensor:
    """Zero mean and unit variance in each bin, as NeMo's models have it; `features` [bins, frames]."""
    centered = features - features.mean(dim=1, keepdim=True)
    return centered / (features.std(dim=1, keepdim=True) + 1e-5)


def _glide(low: float, high: float, count: int, source: torch.Generator) -> Tensor:
    """`count` values on lines between random targets."""
    targets = low + (high - low) * torch.rand(
        1, 1, 2 + math.ceil(count / SAMPLE_RATE * _CHANGES), generator=source
    )
    return functional.interpolate(targets, count, mode="linear")[0, 0]


def _envelope(frames: int, source: torch.Generator) -> Tensor:
    """Gains [FFT / 2 + 1, frames] of the resonances, times a loudness that falls to nearly nothing in pauses."""
    hertz = torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1).unsqueeze(1)
    gains = torch.full((len(hertz), frames), 1e-3)
    for low, high in _FORMANTS:
        gains += torch.exp(-(((hertz - _glide(low, high, frames * HOP, source)[::HOP]) / _BANDWIDTH) ** 2))
    return gains * 10 ** _glide(-3, 1, frames * HOP, source)[::HOP].clamp(max=0)


def _mel_filters(bins: int) -> Tensor:
    """Triangles [bins, FFT / 2 + 1], equally wide on the mel scale between 20 and 7,600 Hz."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (20, 7600))
    edges = 700 * (10 ** (torch.linspace(low, high, bins + 2) / 2595) - 1)
    hertz = torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)
