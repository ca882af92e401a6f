"""Looks up what a stateless prediction network's convolution makes of the last labels.

A convolution over the embeddings of a fixed number of labels is a sum: what the first of them gives, what the second gives,
and so on. Of each label in each place that is a row of a table. Convolutions in groups, as icefall has them, are a kernel
launch a group on a GPU, at every step.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.graphs.partition import in_place
from asr_service.engines.ort.graphs.transducer import Transducer

_NONE = -1
"""Stands for a label before the first: the last row of a table."""
_TRIED, _TOLERANCE = 64, 1e-4

_Values = npt.NDArray[np.float32]


def tabulate_contexts(model: Transducer) -> Transducer:
    """Computes the same of a model; one whose convolution is no such sum stays as it is."""
    convolution = next((node for node in model.parts.labels if node.op_type == "Conv"), None)
    count = _labels(model)
    if convolution is None or count is None or model.states or len(model.label_shape) != 2:
        return model
    evaluate = _Evaluation(model, convolution.output[0])
    tables = [evaluate.table(place, count) for place in range(model.label_shape[1])]
    if not evaluate.agrees(tables, count):
        return model
    return _looked_up(model, convolution, tables)


def _labels(model: Transducer) -> int | None:
    """How many there are: rows of the embeddings."""
    tables = [node.input[0] for node in model.parts.labels if node.op_type == "Gather"]
    sizes = [model.weights[name].dims[0] for name in tables if name in model.weights]
    return sizes[0] if len(sizes) == 1 else None


class _Evaluation:
    """Runs the network up to its convolution."""

    def __init__(self, model: Transducer, value: str) -> None:
        graph = Graph("contexts", opset=model.opset)
        graph.input(model.labels, model.label_kind)
        graph.adopt([*model.parts.constant, *model.parts.labels], model.weights.values())
        graph.give(value)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph.model(domains=model.domains).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._model = model
        self._kind = tensor_dtype_to_np_dtype(model.label_kind)

    def __call__(self, contexts: npt.NDArray[Any]) -> _Values:
        """Of contexts (rows, labels): (rows, channels)."""
        (found,) = self._session.run(None, {self._model.labels: contexts.astype(self._kind)})
        values: _Values = found.reshape(len(contexts), -1)
        return values

    def table(self, place: int, count: int) -> _Values:
        """What each label gives in a place, and no label in the last row; the first place's has what all have in common."""
        contexts = np.full((count + 1, self._model.label_shape[1]), _NONE)
        contexts[:count, place] = np.arange(count)
        values = self(contexts)
        return values if place == 0 else values - values[_NONE]

    def agrees(self, tables: list[_Values], count: int) -> bool:
        contexts = np.random.default_rng(0).integers(_NONE, count, (_TRIED, len(tables)))
        exact = self(contexts)
        summed = np.sum([table[contexts[:, place]] for place, table in enumerate(tables)], axis=0)
        return bool(np.abs(exact - summed).max() <= _TOLERANCE * np.abs(exact).max())


def _looked_up(model: Transducer, convolution: onnx.NodeProto, tables: list[_Values]) -> Transducer:
    result = convolution.output[0]
    weights = dict(model.weights)
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: npt.NDArray[Any]) -> str:
        weights[f"{result} {name}"] = numpy_helper.from_array(values, f"{result} {name}")
        return f"{result} {name}"

    def op(kind: str, *inputs: str, output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    total = ""
    for place, table in enumerate(tables):
        where = constant(f"place {place}", np.array(place))
        label = op("Gather", model.labels, where, output=f"{result} label {place}", axis=1)
        part = op("Gather", constant(f"table {place}", table), label, output=f"{result} of label {place}")
        total = op("Add", total, part, output=f"{result} up to {place}") if total else part
    op("Unsqueeze", total, constant("axis", np.array([2])), output=result)
    return replace(
        model,
        parts=replace(model.parts, labels=in_place(model.parts, convolution, nodes, ())),
        weights=weights,
    )
