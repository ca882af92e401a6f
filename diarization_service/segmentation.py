"""Who is heard in a window: pyannote.audio's segmentation network and its powerset decoding.

Reference: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", Interspeech 2023.
"""

from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  torch's name for it
from torch import Tensor, nn

from diarization_service.sincnet import SincNet
from serving.times import SAMPLE_RATE


class Segmentation(nn.Module):
    """Windows to activity (windows, frames, speakers), zeros and ones."""

    sets: Tensor

    def __init__(self, network: Any, dtype: torch.dtype = torch.float32) -> None:
        """From pyannote.audio's `PyanNet`; `dtype` is what the recurrent layers compute in.

        The filters before them stay in fp32: with those in fp16 three of a hundred frames are heard otherwise, with the
        recurrent layers five of ten thousand.
        """
        super().__init__()
        specifications = network.specifications
        self.filters = SincNet(network.sincnet, round(specifications.duration * SAMPLE_RATE))
        self.recurrent: nn.LSTM = network.lstm.to(dtype)
        self.linear: nn.ModuleList = network.linear
        self.classifier: nn.Linear = network.classifier
        sets = powerset(len(specifications.classes), specifications.powerset_max_classes)
        self.register_buffer("sets", sets)

    def forward(self, samples: Tensor, starts: Tensor) -> Tensor:
        """From audio (samples,) and where windows start in it, multiples of ten samples."""
        features = self.filters(samples, starts).mT.to(self.recurrent.weight_hh_l0.dtype)
        outputs = self.recurrent(features)[0].float()
        for linear in self.linear:
            outputs = F.leaky_relu(linear(outputs), inplace=True)
        return self.sets[self.classifier(outputs).argmax(dim=2)]


def powerset(speakers: int, most: int) -> Tensor:
    """Who speaks in each class: sets of up to `most` speakers, the smaller ones first. Shape (classes, speakers)."""
    members = [set(who) for size in range(most + 1) for who in combinations(range(speakers), size)]
    return torch.tensor(
        [[speaker in who for speaker in range(speakers)] for who in members], dtype=torch.uint8
    )
