"""What a window's speakers sound like: the trunk once a window, then statistics over the frames of each speaker."""

from typing import Any

import torch
from torch import Tensor, nn

from diarization_service.features import FRAME_LENGTH, Features
from diarization_service.pooling import pooled
from diarization_service.trunk import Trunk


class Embedding(nn.Module):
    """WeSpeaker's ResNet34 with one trunk for several speakers."""

    least_samples = FRAME_LENGTH

    def __init__(self, network: Any, dtype: torch.dtype = torch.float32) -> None:
        """From pyannote.audio's `WeSpeakerResNet34`; `dtype` is what the trunk computes in."""
        super().__init__()
        self.features = Features(network.hparams.num_mel_bins)
        self.trunk = Trunk(network.resnet, dtype)
        self.projection: nn.Linear = network.resnet.seg_1

    @property
    def dimension(self) -> int:
        return self.projection.out_features

    def forward(self, windows: Tensor, weights: Tensor) -> Tensor:
        """From windows (batch, windows, samples) to embeddings (batch, speakers, dimension).

        `weights` say how much of each speaker is in each frame of the trunk, shape (batch, speakers, windows · frames).
        """
        batch, count, _ = windows.shape
        features = self.features(windows.flatten(0, 1))
        frames = self.trunk(features - features.mean(dim=1, keepdim=True))
        frames = frames.unflatten(0, (batch, count)).transpose(1, 2).flatten(2)
        embeddings: Tensor = self.projection(pooled(frames, weights))
        return embeddings
