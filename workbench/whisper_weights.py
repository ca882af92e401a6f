"""Whisper's encoder in PyTorch: with the weights of a model in the store, or with random ones."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from serving.models.conversion.whisper_network import Dimensions, Encoder, Whisper
from workbench.networks.weights import seeded

TINY_EN = Dimensions(
    n_mels=80,
    n_vocab=51864,
    n_audio_ctx=1500,
    n_audio_state=384,
    n_audio_head=6,
    n_audio_layer=4,
    n_text_ctx=448,
    n_text_state=384,
    n_text_head=6,
    n_text_layer=4,
)
SMALLER = Dimensions(
    n_mels=80,
    n_vocab=100,
    n_audio_ctx=1500,
    n_audio_state=64,
    n_audio_head=2,
    n_audio_layer=2,
    n_text_ctx=8,
    n_text_state=64,
    n_text_head=2,
    n_text_layer=2,
)
"""For tests; still of 30 s."""


def random_encoder(dims: Dimensions) -> Encoder:
    """The same each time."""
    with seeded(0):
        model = Whisper(dims)
        # Zero before training; drawn, so that nothing passes for right that leaves them out.
        torch.nn.init.normal_(model.encoder.positional_embedding, std=0.1)
    return Encoder(model).eval()


def trained_encoder(path: Path) -> Encoder:
    """From `encoder.onnx` as this project converts checkpoints: its weights bear the checkpoint's names.

    Raises ValueError for another export.
    """
    model = onnx.load(path)
    dims = _dimensions({entry.key: entry.value for entry in model.metadata_props})
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    encoder = Encoder(Whisper(dims))
    unset, unknown = encoder.load_state_dict(
        {name: torch.tensor(weight) for name, weight in weights.items()}, strict=False
    )
    if unknown or any(name.startswith("encoder.") for name in unset):
        raise ValueError(f"{path} does not hold the weights of Whisper's encoder by the checkpoint's names")
    return encoder.eval()


def _dimensions(metadata: Mapping[str, str]) -> Dimensions:
    return Dimensions(**{name: int(metadata[name]) for name in Dimensions.__dataclass_fields__})
