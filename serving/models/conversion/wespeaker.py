"""WeSpeaker's ResNet34 as ONNX → weights of pyannote.audio's `WeSpeakerResNet34`.

The ONNX export has its batch norms folded into the convolutions and takes a mean vector off the embedding. pyannote's network
has the batch norms: each becomes the folded bias and nothing else, and the mean moves into the last layer's bias.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from safetensors.numpy import save_file

Array = npt.NDArray[np.generic]

# Blocks in the four stages of a ResNet34; each stage but the first halves the resolution and so projects its shortcut.
BLOCKS = (3, 4, 6, 3)
# PyTorch's default, which the network adds to the variance before it divides.
BATCH_NORM_EPSILON = 1e-5

# WeSpeaker's features, by the names of pyannote's hyper-parameters.
FEATURES = {
    "sample_rate": 16000,
    "num_channels": 1,
    "num_mel_bins": 80,
    "frame_length": 25.0,
    "frame_shift": 10.0,
    "round_to_power_of_two": True,
    "snip_edges": True,
    "dither": 0.0,
    "window_type": "hamming",
    "use_energy": False,
}


def convert(source: Path, target: Path) -> None:
    """`model.onnx` in `source` → `model.safetensors` and `config.json` in `target`."""
    graph = onnx.load(source / "model.onnx").graph
    save_file(weights(graph), target / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": "pyannote.audio.models.embedding.WeSpeakerResNet34",
        "hyper_parameters": FEATURES,
        "specifications": {"problem": "REPRESENTATION", "resolution": "CHUNK", "duration": 5.0},
    }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def weights(graph: onnx.GraphProto) -> dict[str, Array]:
    """State dict of `WeSpeakerResNet34` from the export's graph."""
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    state: dict[str, Array] = {}
    for (convolution, norm), node in zip(layers(), convolutions, strict=True):
        state[f"{convolution}.weight"] = arrays[node.input[1]]
        state |= batch_norm(norm, arrays[node.input[2]])
    state["resnet.seg_1.weight"] = arrays["model.seg_1.weight"]
    state["resnet.seg_1.bias"] = arrays["model.seg_1.bias"] - arrays["mean_vec"]
    return state


def layers() -> Iterator[tuple[str, str]]:
    """Names of every convolution and of the batch norm after it, in the order of the graph."""
    yield "resnet.conv1", "resnet.bn1"
    for stage, count in enumerate(BLOCKS, start=1):
        for index in range(count):
            block = f"resnet.layer{stage}.{index}"
            yield f"{block}.conv1", f"{block}.bn1"
            yield f"{block}.conv2", f"{block}.bn2"
            if stage > 1 and index == 0:
                yield f"{block}.shortcut.0", f"{block}.shortcut.1"


def batch_norm(name: str, bias: Array) -> dict[str, Array]:
    """A batch norm that adds `bias` and leaves the scale alone."""
    return {
        f"{name}.weight": np.ones_like(bias),
        f"{name}.bias": bias,
        f"{name}.running_mean": np.zeros_like(bias),
        f"{name}.running_var": np.full_like(bias, 1 - BATCH_NORM_EPSILON),
        f"{name}.num_batches_tracked": np.zeros((), np.int64),
    }
