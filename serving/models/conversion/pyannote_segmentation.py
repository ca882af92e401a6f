"""pyannote segmentation-3.0's checkpoint → `model.safetensors` and `config.json`.

The configuration holds what pyannote.audio's `PyanNet` and its `Specifications` are built from.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from serving.models.conversion.checkpoints import Specifications, load_checkpoint

# Properties that pyannote.audio caches beside the fields they follow from.
DERIVED = ("powerset", "num_powerset_classes")


def convert(source: Path, target: Path) -> None:
    """`pytorch_model.bin` in `source` → the two files in `target`."""
    checkpoint = load_checkpoint(source / "pytorch_model.bin")
    weights = {name: tensor.contiguous() for name, tensor in checkpoint["state_dict"].items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": "pyannote.audio.models.segmentation.PyanNet",
        "hyper_parameters": dict(checkpoint["hyper_parameters"]),
        "specifications": specifications(checkpoint["pyannote.audio"]["specifications"]),
    }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def specifications(held: Specifications) -> dict[str, Any]:
    """Fields of `pyannote.audio.core.task.Specifications` that the checkpoint sets, its enumerations by name."""
    fields = {name: value for name, value in vars(held).items() if name not in DERIVED}
    return {name: value.name if isinstance(value, Enum) else value for name, value in fields.items()}
