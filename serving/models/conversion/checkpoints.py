"""PyTorch checkpoints read without running what is in them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.torch_version import TorchVersion


class Problem(Enum):
    """Stands for pyannote.audio's class of this name, so that reading a checkpoint need not import it."""

    BINARY_CLASSIFICATION = 0
    MONO_LABEL_CLASSIFICATION = 1
    MULTI_LABEL_CLASSIFICATION = 2
    REPRESENTATION = 3
    REGRESSION = 4


class Resolution(Enum):
    """Stands for pyannote.audio's class of this name."""

    FRAME = 1
    CHUNK = 2


class Specifications:
    """Stands for pyannote.audio's class of this name; the fields are those that the checkpoint holds."""


TASK = "pyannote.audio.core.task"
STAND_INS: list[Any] = [
    TorchVersion,
    *((cls, f"{TASK}.{cls.__name__}") for cls in (Problem, Resolution, Specifications)),
]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint; a pickle that names any other class is refused."""
    with torch.serialization.safe_globals(STAND_INS):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
