"""Runs a transducer at load to learn what its files do not say: the shape of every value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx.helper import np_dtype_to_tensor_dtype, tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.graphs.transducer import Shape, Transducer
from serving.errors import ModelUnavailable


def measure(model: Transducer) -> Mapping[str, Shape]:
    """Shapes of all values that have an axis of rows, -1 in its place.

    Raises ModelUnavailable where the model cannot compute several rows side by side.
    """
    values = _values(model)
    try:
        session = _session(model, values)
        two, three = (session.run(None, _inputs(model, rows)) for rows in (2, 3))
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise _unusable(str(error)) from error
    shapes = {
        value: shape
        for value, small, large in zip(values, two, three, strict=True)
        if (shape := _varying(small.shape, large.shape)) is not None
    }
    parts = model.parts
    for value in {*parts.frame_values, *parts.label_values, model.logits}.difference(shapes):
        raise _unusable(f"{value} does not grow with them")
    return shapes


def _unusable(why: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"the decoder cannot compute several rows ({why}); export it with a batch axis that varies"
    )


def _values(model: Transducer) -> list[str]:
    made = (output for node in model.parts.nodes for output in node.output if output)
    return [*_inputs(model, 1), *made]


def _inputs(model: Transducer, rows: int) -> dict[str, npt.NDArray[Any]]:
    labels = tensor_dtype_to_np_dtype(model.label_kind)
    inputs: dict[str, npt.NDArray[Any]] = {
        model.frame: np.zeros(_with(rows, model.frame_shape), np.float32),
        model.labels: np.zeros(_with(rows, model.label_shape), labels),
    }
    if model.label_counts is not None:
        inputs[model.label_counts.name] = np.ones(rows, tensor_dtype_to_np_dtype(model.label_counts.kind))
    return inputs | {state.before: np.zeros(_with(rows, state.shape), np.float32) for state in model.states}


def _session(model: Transducer, values: Sequence[str]) -> onnxruntime.InferenceSession:
    graph = Graph("probe", opset=model.opset)
    for name, example in _inputs(model, 1).items():
        graph.input(name, np_dtype_to_tensor_dtype(example.dtype))
    graph.adopt(model.parts.nodes, model.weights.values())
    for value in values:
        graph.give(value)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # It runs twice, so nothing is worth preparing.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(
        graph.model(domains=model.domains).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _with(rows: int, shape: Shape) -> Shape:
    return tuple(rows if size == -1 else size for size in shape)


def _varying(two: Shape, three: Shape) -> Shape | None:
    """None where not exactly one axis has as many as there are rows."""
    if len(two) != len(three):
        return None
    shape = tuple(-1 if sizes == (2, 3) else sizes[0] for sizes in zip(two, three, strict=True))
    return shape if shape.count(-1) == 1 and _with(3, shape) == three else None
