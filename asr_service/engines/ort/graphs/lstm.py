"""Writes LSTM nodes out as matrix products.

A search runs the prediction network one label at a time. There an LSTM node pays for what long sequences gain: on CUDA, ONNX
Runtime arranges the weights for cuDNN anew at each run.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.graphs.transducer import Transducer

_SUPPORTED = {"hidden_size": None, "direction": b"forward", "layout": 0, "input_forget": 0}
"""Attributes, with the values that are understood; the usual activations are those of a node that names none."""


def write_out_lstms(model: Transducer) -> Transducer:
    """Computes the same; nodes with other activations, directions or optional inputs stay as they are."""
    graph = Graph("written out", opset=model.opset)
    for node in model.parts.labels:
        if _is_plain(node, model.weights):
            _write_out(graph, node, model.weights)
        else:
            graph.adopt([node])
    written = graph.proto()
    weights = dict(model.weights) | {tensor.name: tensor for tensor in written.initializer}
    return replace(model, parts=replace(model.parts, labels=tuple(written.node)), weights=weights)


def _is_plain(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type != "LSTM" or len(node.input) != 7 or node.input[4]:
        return False
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return weights.keys() >= set(node.input[1:4]) and all(
        name in _SUPPORTED and _SUPPORTED[name] in {None, value} for name, value in attributes.items()
    )


def _write_out(graph: Graph, node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> None:
    """X (1, rows, input) and states (1, rows, hidden); gates in ONNX's order: input, output, forget, cell."""
    value, _, _, _, _, hidden, cell = node.input
    inputs, recurrence, bias = (numpy_helper.to_array(weights[name])[0] for name in node.input[1:4])
    size = recurrence.shape[1]
    first = graph.ints([0])
    value, hidden, cell = (graph.op("Squeeze", name, first) for name in (value, hidden, cell))
    gates = graph.op(
        "Gemm",
        graph.op("Concat", value, hidden, axis=1),
        graph.floats(np.concatenate([inputs, recurrence], axis=1).T),
        graph.floats(bias[: 4 * size] + bias[4 * size :]),
    )
    # Parts of equal size only: to cut others, the CUDA provider sends tables to the GPU first.
    enter, leave, stay, _ = graph.ops(
        "Split", graph.op("Sigmoid", gates), graph.ints([size] * 4), named=4, axis=1
    )
    candidate = graph.op("Slice", gates, *map(graph.ints, ([3 * size], [4 * size], [1])))
    cell = graph.op("Add", graph.op("Mul", stay, cell), graph.op("Mul", enter, graph.op("Tanh", candidate)))
    hidden = graph.op("Mul", leave, graph.op("Tanh", cell))
    for axes, result, name in zip(([0, 1], [0], [0]), (hidden, hidden, cell), node.output, strict=False):
        if name:
            graph.op("Unsqueeze", result, graph.ints(axes), named=name)
