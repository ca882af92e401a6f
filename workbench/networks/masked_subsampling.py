"""NeMo's "dw_striding" subsampling by 8 (NVIDIA/NeMo, nemo/collections/asr/parts/submodules/subsampling.py)."""

import torch
from torch import Tensor, nn

FACTOR = 8


class MaskedSubsampling(nn.Module):
    """Three 3 by 3 convolutions of stride 2, the second and third separable; padding is 0 before and after each step.

    Without the masks, as in NeMo before 2.0, biases would leak from the padding into the last frames of an utterance.
    """

    def __init__(self, mel_bins: int, channels: int, width: int) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Conv2d(1, channels, 3, stride=2, padding=1), nn.ReLU()]
        for _ in range(2):
            steps.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels))
            steps.extend((nn.Conv2d(channels, channels, 1), nn.ReLU()))
        self.conv = nn.ModuleList(steps)
        self.out = nn.Linear(channels * (-(-mel_bins // FACTOR)), width)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, mel] and lengths [B] int64 → [B, ceil(T / 8), width] and their lengths."""
        x = features.unsqueeze(1)
        mask = valid_frames(x, lengths)
        for step in self.conv:
            x = step(x * mask)
            if isinstance(step, nn.Conv2d) and step.stride == (2, 2):
                lengths = halved(lengths)
                mask = valid_frames(x, lengths)
        x = x * mask
        return self.out(x.transpose(1, 2).flatten(start_dim=2)), lengths


def halved(lengths: Tensor) -> Tensor:
    """Frames after a convolution of kernel 3, padding 1 and stride 2; in floats, as NeMo's export counts them."""
    return torch.floor((lengths.float() - 1) / 2 + 1).long()


def valid_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """1 for the frames of an utterance and 0 for its padding, [B, 1, T, 1], as `x` [B, C, T, F]."""
    frames = torch.arange(x.shape[2], device=x.device)
    return (frames < lengths.unsqueeze(1)).to(x.dtype)[:, None, :, None]
