"""A transducer's prediction network inside a search: its first turn, and its turns after labels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.graphs.inlining import instance
from asr_service.engines.ort.graphs.rules import Rules
from asr_service.engines.ort.graphs.transducer import Shape, Transducer

Values = dict[str, str]
"""What steps hand on, by the names that the model has for it."""


class Prediction:
    def __init__(self, model: Transducer, rules: Rules) -> None:
        self._model, self._blank = model, rules.blank
        self._label_counts = ""
        memory = {state.before: state.shape for state in model.states} or {model.labels: model.label_shape}
        self.memory = tuple(memory)
        """States, or the last labels: what a turn takes besides the new label."""
        label_values = {value: model.shapes[value] for value in model.parts.label_values}
        self.shapes: Mapping[str, Shape] = label_values | memory
        """Of all that steps hand on, -1 for the rows."""

    def kind(self, value: str) -> int:
        return self._model.label_kind if value == self._model.labels else FLOAT

    def begin(self, graph: Graph, size: str) -> Values:
        """Before the first label; `size` (1,) is the number of rows. icefall's networks begin with -1, …, -1, blank."""
        model = self._model
        context = [*[-1] * (math.prod(model.label_shape[1:]) - 1), self._blank]
        labels = self._repeated(graph, context, model.label_kind, model.label_shape, size)
        if model.label_counts is not None:
            self._label_counts = self._repeated(graph, [1], model.label_counts.kind, (-1,), size)
        states = {
            state.before: self._repeated(graph, [0], FLOAT, state.shape, size) for state in model.states
        }
        return self._predict(graph, "start:", labels, states)

    def turn(self, graph: Graph, token: str, values: Values) -> Values:
        """After a label in each row, `token` (rows,) int64; of `values` it takes those of `memory`."""
        model = self._model
        label = token if model.label_kind == INT64 else graph.cast(token, model.label_kind)
        if model.states:
            states = {state.before: values[state.before] for state in model.states}
            return self._predict(graph, "step:", label, states)
        if len(model.label_shape) > 1:
            last = graph.op(
                "Slice", values[model.labels], *map(graph.ints, ([1], [model.label_shape[1]], [1]))
            )
            label = graph.op("Concat", last, graph.op("Unsqueeze", label, graph.ints([1])), axis=1)
        return self._predict(graph, "step:", label, {})

    def _predict(self, graph: Graph, prefix: str, labels: str, states: Values) -> Values:
        model = self._model
        bound = {model.labels: labels, **states}
        if model.label_counts is not None:
            bound[model.label_counts.name] = self._label_counts
        nodes, name = instance(model.parts.labels, prefix, bound)
        graph.adopt(nodes)
        after = {state.before: name(state.after) for state in model.states} or {model.labels: labels}
        return {value: name(value) for value in model.parts.label_values} | after

    def _repeated(self, graph: Graph, values: Sequence[float], kind: int, shape: Shape, size: str) -> str:
        """`values` along the last axis, or one everywhere."""
        name = graph.named("first")
        array = np.asarray(values, tensor_dtype_to_np_dtype(kind))
        graph.adopt([], [numpy_helper.from_array(array, name)])
        sizes = [size if axis == -1 else graph.ints([axis]) for axis in shape]
        return graph.op("Expand", name, graph.op("Concat", *sizes, axis=0))
