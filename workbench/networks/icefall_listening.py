"""What icefall's random models are calibrated on, and how their encoders are made to tell it apart."""

import torch
from torch import Tensor, nn

from asr_service.engines.ort.features import KaldiFeatures
from workbench.networks.icefall_encoder import Encoder
from workbench.networks.listening import SAMPLE_RATE, babble
from workbench.networks.unit_variance import standardize

SECONDS = 8
"""Of each utterance."""
_ROUNDS = 3


def hear(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Frames [N, T', width] and lengths [N] of some babble, to which the subsampling is adapted first."""
    features, lengths = some_features(encoder.mel_bins)
    ignore_loudness(encoder.encoder_embed)
    standardize(encoder.encoder_embed, lambda: encoder.encoder_embed(features))
    with torch.no_grad():
        frames, lengths = encoder(features, lengths)
    return frames, lengths


def ignore_loudness(subsampling: nn.Module) -> None:
    """Lets the first convolution hear differences between neighbours only; loudness is the same for all log-mel bins.

    Else frames would differ most by how loud they are, and recordings by how loud they were made.
    """
    first = next(layer for layer in subsampling.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        first.weight -= first.weight.mean(dim=(2, 3), keepdim=True)


def some_features(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features [N, T, mel] and lengths [N] of babble: in a studio, over the telephone, and with noise behind it."""
    front_end = KaldiFeatures(mel_bins)
    settings = (studio, telephone, noise) * _ROUNDS
    sounds = [setting(babble(SECONDS, seed)) for seed, setting in enumerate(settings)]
    features = torch.stack([torch.from_numpy(front_end(sound.numpy())) for sound in sounds])
    return features, torch.full((len(features),), features.shape[1])


def studio(samples: Tensor) -> Tensor:
    return samples


def telephone(samples: Tensor) -> Tensor:
    """Nothing below 300 Hz nor above 3,400 Hz."""
    spectrum = torch.fft.rfft(samples)
    hertz = torch.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    heard: Tensor = torch.fft.irfft(spectrum * ((hertz > 300) & (hertz < 3400)), len(samples))
    return heard


def noise(samples: Tensor) -> Tensor:
    return samples + 0.01 * torch.randn(len(samples), generator=torch.Generator().manual_seed(0))
