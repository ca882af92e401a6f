"""Runs a transducer at load to learn what its files do not say: how large its outputs are, and which axes count rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx.helper import tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.graphs.transducer import Transducer
from serving.errors import ModelUnavailable

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    outputs: int
    """Of the joint: tokens, and durations if there are any."""
    label_shapes: Mapping[str, Shape]
    """Of what the joint takes of the labels, -1 for the rows."""


def measure(model: Transducer) -> Sizes:
    """Raises ModelUnavailable where the model cannot compute several rows side by side."""
    try:
        session = _session(model)
        two, three = _run(model, session, 2), _run(model, session, 3)
        shapes = {value: _varying(two[value], three[value]) for value in two}
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ModelUnavailable(
            f"the decoder cannot run with more than one row ({error}); export it with a batch axis that varies"
        ) from error
    if any(shapes[value][0] != -1 for value in (model.logits, *model.parts.frame_values)):
        raise ModelUnavailable("the joiner's first axis is not the batch; export it as NeMo or icefall do")
    return Sizes(
        outputs=math.prod(shapes[model.logits][1:]),
        label_shapes={value: shapes[value] for value in model.parts.label_values},
    )


def _session(model: Transducer) -> onnxruntime.InferenceSession:
    parts = model.parts
    graph = Graph("probe", opset=model.opset)
    graph.input(model.frame, FLOAT)
    graph.input(model.labels, model.label_kind)
    if model.label_counts is not None:
        graph.input(model.label_counts.name, model.label_counts.kind)
    for state in model.states:
        graph.input(state.before, FLOAT)
    graph.adopt((*parts.constant, *parts.frame, *parts.labels, *parts.joint), model.weights.values())
    for value in _measured(model):
        graph.output(f"{value} measured", value, FLOAT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # It runs twice, so nothing is worth preparing.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(
        graph.model(domains=model.domains).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _run(model: Transducer, session: onnxruntime.InferenceSession, rows: int) -> dict[str, Shape]:
    feeds: dict[str, npt.NDArray[Any]] = {
        model.frame: np.zeros((rows, *model.frame_shape), np.float32),
        model.labels: np.zeros((rows, model.context), tensor_dtype_to_np_dtype(model.label_kind)),
    }
    if model.label_counts is not None:
        feeds[model.label_counts.name] = np.ones(rows, tensor_dtype_to_np_dtype(model.label_counts.kind))
    for state in model.states:
        feeds[state.before] = np.zeros((state.layers, rows, state.hidden), np.float32)
    outputs = session.run(None, feeds)
    return {value: output.shape for value, output in zip(_measured(model), outputs, strict=True)}


def _measured(model: Transducer) -> list[str]:
    return list(dict.fromkeys((*model.parts.frame_values, *model.parts.label_values, model.logits)))


def _varying(two: Shape, three: Shape) -> Shape:
    shape = tuple(-1 if sizes == (2, 3) else sizes[0] for sizes in zip(two, three, strict=True))
    if shape.count(-1) != 1 or tuple(3 if size == -1 else size for size in shape) != three:
        raise ValueError(f"of two rows it makes {two}, of three {three}")
    return shape
