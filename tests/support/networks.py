"""Runs exported networks and compares them with PyTorch's."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor


def run(path: Path, **inputs: np.ndarray | Tensor) -> list[np.ndarray]:
    """All outputs, on one thread; an input's dot or colon is written as "_"."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {
        value.name.translate({ord("."): "_", ord(":"): "_"}): value.name for value in session.get_inputs()
    }
    outputs: list[np.ndarray] = session.run(
        None, {names[name]: np.asarray(value) for name, value in inputs.items()}
    )
    return outputs


def difference(found: np.ndarray | Tensor, expected: np.ndarray | Tensor) -> float:
    """The largest, relative to the largest value."""
    expected = torch.as_tensor(expected)
    return float((torch.as_tensor(found) - expected).abs().max() / expected.abs().max())
