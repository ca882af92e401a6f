"""pyannote.audio's networks from folders of plain weights: nothing is unpickled, no hub is asked.

A folder holds `model.safetensors`, the network's state dict, and `config.json`:

    {"architecture": "pyannote.audio.models.segmentation.PyanNet",
     "hyper_parameters": {…}, "specifications": {"problem": "MONO_LABEL_CLASSIFICATION", …}}
"""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

import diarization_service.torch_compat  # noqa: F401  makes the next imports work
from serving.errors import ModelUnavailable

# isort: split
from pyannote.audio import Model
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet34
from pyannote.audio.models.segmentation import PyanNet

_ARCHITECTURES: dict[str, type[Model]] = {
    "pyannote.audio.models.segmentation.PyanNet": PyanNet,
    "pyannote.audio.models.embedding.WeSpeakerResNet34": WeSpeakerResNet34,
}


def load_network(folder: Path) -> Model:
    """The folder's network on the CPU, ready for inference. Raises ModelUnavailable."""
    try:
        return _built(folder).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(
            f"{folder} does not hold a network that can be used here: {error}; for models by name, run "
            "`duoscribe models pull`"
        ) from error


def _built(folder: Path) -> Model:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    architecture = _ARCHITECTURES.get(config["architecture"])
    if architecture is None:
        raise ValueError(f"no architecture {config['architecture']!r}; there are {', '.join(_ARCHITECTURES)}")
    network = architecture(**_accepted_by(architecture, config["hyper_parameters"]))
    network.specifications = _specifications(config["specifications"])
    network.build()  # type: ignore[no-untyped-call]
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network


def _accepted_by(architecture: type[Model], hyper_parameters: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints also name what their class fixes (WeSpeakerResNet34: that Kaldi's frames snip edges)."""
    names = inspect.signature(architecture).parameters
    return {name: value for name, value in hyper_parameters.items() if name in names}


def _specifications(fields: dict[str, Any]) -> Specifications:
    known = {field.name for field in dataclasses.fields(Specifications)}
    values = {name: value for name, value in fields.items() if name in known}
    values["problem"] = Problem[values["problem"]]
    values["resolution"] = Resolution[values["resolution"]]
    return Specifications(**values)
