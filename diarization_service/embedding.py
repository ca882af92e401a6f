"""What a window's speakers sound like: the trunk once, then statistics over the frames of each of them."""

from typing import Any

import torch
from torch import Tensor, nn

from diarization_service.features import FRAME_LENGTH, Features
from diarization_service.pooling import at_frames, pooled
from diarization_service.trunk import Trunk


class Embedding(nn.Module):
    """Windows (batch, samples) and masks (batch, speakers, mask frames) to embeddings (batch, speakers, dimension)."""

    least_samples = FRAME_LENGTH

    def __init__(self, network: Any) -> None:
        """From pyannote.audio's `WeSpeakerResNet34`."""
        super().__init__()
        self.features = Features(network.hparams.num_mel_bins)
        self.trunk = Trunk(network.resnet)
        self.projection: nn.Linear = network.resnet.seg_1

    @property
    def dimension(self) -> int:
        return self.projection.out_features

    def forward(self, windows: Tensor, masks: Tensor) -> Tensor:
        features = self.features(windows)
        frames = self.trunk(features - features.mean(dim=1, keepdim=True))
        embeddings: Tensor = self.projection(pooled(frames, at_frames(masks, frames.shape[2])))
        return embeddings.where(masks.any(dim=2, keepdim=True), torch.nan)
