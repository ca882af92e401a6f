"""What a window's speakers sound like: the trunk once a window, then statistics over the frames of each speaker."""

from typing import Any

import torch
from torch import Tensor, nn

from diarization_service.features import FRAME_LENGTH, FRAME_SHIFT, Features
from diarization_service.pooling import pooled
from diarization_service.trunk import Trunk


class Embedding(nn.Module):
    """WeSpeaker's ResNet34 with one trunk for several speakers."""

    least_samples = FRAME_LENGTH

    def __init__(self, network: Any, window: int, dtype: torch.dtype = torch.float32) -> None:
        """From pyannote.audio's `WeSpeakerResNet34`, for windows of so many samples; `dtype` is what the trunk computes in."""
        super().__init__()
        self._frames = 1 + (window - FRAME_LENGTH) // FRAME_SHIFT
        self.features = Features(network.hparams.num_mel_bins)
        self.trunk = Trunk(network.resnet, dtype)
        self.projection: nn.Linear = network.resnet.seg_1

    @property
    def dimension(self) -> int:
        return self.projection.out_features

    def forward(self, samples: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
        """From audio (samples,) to embeddings (batch, speakers, dimension).

        `starts` are the samples at which the windows start that each of the batch is heard in, shape (batch, windows),
        multiples of FRAME_SHIFT; `weights` say how much of each speaker is in each frame of the trunk, shape
        (batch, speakers, windows · frames).
        """
        shared = self.features(samples).unfold(0, self._frames, 1)
        features = shared[starts.flatten() // FRAME_SHIFT]
        frames = self.trunk(features - features.mean(dim=2, keepdim=True))
        frames = frames.unflatten(0, starts.shape).transpose(1, 2).flatten(2)
        embeddings: Tensor = self.projection(pooled(frames, weights))
        return embeddings
