"""Log mel energies as Kaldi computes them, on any device.

Reference: Kaldi's `compute-fbank-feats` with `--snip-edges=true --dither=0`, of which torchaudio.compliance.kaldi is the
translation that pyannote.audio calls, one recording at a time.
"""

import torch
from torch import Tensor

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from serving.times import SAMPLE_RATE

# isort: split
from torchaudio.compliance import kaldi

FRAME_LENGTH = 400
FRAME_SHIFT = 160
_FFT_LENGTH = 512
_PREEMPHASIS = 0.97
_FULL_SCALE = 32_768


class Features(torch.nn.Module):
    """Of speech at 16 kHz: `mels` energies for each 25 ms, every 10 ms."""

    window: Tensor
    banks: Tensor

    def __init__(self, mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hamming_window(FRAME_LENGTH, periodic=False))
        banks, _ = kaldi.get_mel_banks(mels, _FFT_LENGTH, SAMPLE_RATE, 20.0, 0.0, 100.0, -500.0, 1.0)
        # Kaldi leaves the highest frequency to no bank.
        self.register_buffer("banks", torch.nn.functional.pad(banks, (0, 1)).T.contiguous())

    def forward(self, samples: Tensor) -> Tensor:
        """From (samples,) in [-1, 1) to (frames, mels)."""
        frames = (samples * _FULL_SCALE).unfold(0, FRAME_LENGTH, FRAME_SHIFT)
        frames = frames - frames.mean(dim=1, keepdim=True)
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        spectrum = torch.fft.rfft((frames - _PREEMPHASIS * before) * self.window, n=_FFT_LENGTH)
        energies = spectrum.abs().square() @ self.banks
        features: Tensor = energies.clamp_min(torch.finfo(torch.float32).eps).log()
        return features
