"""Who is heard in a window: pyannote.audio's segmentation network and its powerset decoding.

Reference: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", Interspeech 2023.
"""

from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn


class Segmentation(nn.Module):
    """Windows (batch, samples) to activity (batch, frames, speakers), zeros and ones."""

    sets: Tensor

    def __init__(self, network: Any, dtype: torch.dtype = torch.float32) -> None:
        """From pyannote.audio's `PyanNet`; `dtype` is what its products are computed in.

        The service leaves it at fp32: in fp16 two of a hundred frames are heard otherwise, in bf16 more than ten.
        """
        super().__init__()
        self.dtype = dtype
        self.network = network
        specifications = network.specifications
        sets = powerset(len(specifications.classes), specifications.powerset_max_classes)
        self.register_buffer("sets", sets)

    def forward(self, windows: Tensor) -> Tensor:
        with torch.autocast(windows.device.type, self.dtype, enabled=self.dtype != torch.float32):
            scores: Tensor = self.network(windows[:, None])
        return self.sets[scores.argmax(dim=2)]


def powerset(speakers: int, most: int) -> Tensor:
    """Who speaks in each class: sets of up to `most` speakers, the smaller ones first. Shape (classes, speakers)."""
    members = [set(who) for size in range(most + 1) for who in combinations(range(speakers), size)]
    return torch.tensor(
        [[speaker in who for speaker in range(speakers)] for who in members], dtype=torch.uint8
    )
