"""The segmentation network's filters over audio that windows have in common.

Reference: pyannote.audio.models.blocks.sincnet; Ravanelli and Bengio, "Speaker recognition from raw waveform with SincNet", SLT
2018.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  torch's name for it
from torch import Tensor, nn


class SincNet(nn.Module):
    """Each window is normalised before it is filtered. Filters are linear, so here they run first, once over all of the audio,
    and each window's scale and shift are put on what comes of them.
    """

    filters: Tensor

    def __init__(self, network: Any, window: int) -> None:
        """From pyannote.audio's `SincNet`, for windows of so many samples."""
        super().__init__()
        first, *further = network.conv1d
        self._window = window
        self._stride: int = first.filterbank.stride
        self.register_buffer("filters", first.filterbank.filters().detach())
        self.norm: nn.InstanceNorm1d = network.wav_norm1d
        self.convolutions = nn.ModuleList([nn.Identity(), *further])
        self.pools: nn.ModuleList = network.pool1d
        self.norms: nn.ModuleList = network.norm1d

    def forward(self, samples: Tensor, starts: Tensor) -> Tensor:
        """From audio (samples,) and where windows start in it, multiples of the filters' stride, to
        (windows, features, frames).
        """
        outputs = self._filtered(samples, starts).abs_()
        for convolution, pool, norm in zip(self.convolutions, self.pools, self.norms, strict=True):
            outputs = F.leaky_relu(norm(pool(convolution(outputs))), inplace=True)
        return outputs

    def _filtered(self, samples: Tensor, starts: Tensor) -> Tensor:
        """As if each window were normalised, then filtered: (windows, filters, frames)."""
        shared = F.conv1d(samples[None, None], self.filters, stride=self._stride)[0]
        frames = 1 + (self._window - self.filters.shape[2]) // self._stride
        own = shared.unfold(1, frames, 1)[:, starts // self._stride].transpose(0, 1)
        scale, shift = self._normalising(samples.unfold(0, self._window, 1)[starts])
        return torch.addcmul(shift[:, None, None] * self.filters.sum(dim=2), own, scale[:, None, None])

    def _normalising(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """By what each window is multiplied, and what is added to it then."""
        variance, mean = torch.var_mean(windows, dim=1, correction=0)
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
        return scale, self.norm.bias - scale * mean
