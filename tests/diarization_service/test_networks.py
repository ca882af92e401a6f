"""Folders that do not hold a network are refused by name. Needs torch, but no weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from serving.errors import ModelUnavailable

pytestmark = pytest.mark.models

EMBEDDING: dict[str, Any] = {
    "architecture": "pyannote.audio.models.embedding.WeSpeakerResNet34",
    "hyper_parameters": {"sample_rate": 16000},
    "specifications": {"problem": "REPRESENTATION", "resolution": "CHUNK", "duration": 5.0},
}


def folder(path: Path, config: dict[str, Any], weights: dict[str, list[float]]) -> Path:

    (path / "config.json").write_text(json.dumps(config))
    save_file({name: np.array(values) for name, values in weights.items()}, path / "model.safetensors")
    return path


def load(path: Path) -> None:
    from diarization_service.networks import load_network  # noqa: PLC0415  imports torch

    load_network(path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"{tmp_path}.*config.json"):
        load(tmp_path)


def test_a_network_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no architecture 'os\.system'"):
        load(folder(tmp_path, EMBEDDING | {"architecture": "os.system"}, {}))


def test_weights_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"resnet\.conv1\.weight"):
        load(folder(tmp_path, EMBEDDING, {"other": [1.0]}))


def test_weights_that_are_cut_short(tmp_path: Path) -> None:
    path = folder(tmp_path, EMBEDDING, {"other": [1.0]})
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        load(path)
