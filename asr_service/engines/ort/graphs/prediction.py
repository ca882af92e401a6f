"""A transducer's prediction network inside a search: its first turn, and its turns after labels."""

from collections.abc import Mapping

import numpy as np
from onnx import numpy_helper
from onnx.helper import make_tensor, tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.graphs.inlining import instance
from asr_service.engines.ort.graphs.probe import Shape, Sizes
from asr_service.engines.ort.graphs.rules import Rules
from asr_service.engines.ort.graphs.transducer import Transducer

Values = dict[str, str]
"""What steps hand on, by the names that the model has for it."""


class Prediction:
    def __init__(self, model: Transducer, sizes: Sizes, rules: Rules) -> None:
        self._model, self._blank = model, rules.blank
        self._label_counts = ""
        memory: dict[str, Shape] = {
            state.before: (state.layers, -1, state.hidden) for state in model.states
        } or {model.labels: (-1, model.context)}
        self.memory = tuple(memory)
        """States, or the last labels: what a turn takes besides the new label."""
        self.shapes: Mapping[str, Shape] = {**sizes.label_shapes, **memory}
        """Of all that steps hand on, -1 for the rows."""

    def kind(self, value: str) -> int:
        return self._model.label_kind if value == self._model.labels else FLOAT

    def begin(self, graph: Graph, size: str) -> Values:
        """Before the first label; `size` (1,) is the number of rows. icefall's networks begin with -1, …, -1, blank."""
        model = self._model
        context = [[*[-1] * (model.context - 1), self._blank]]
        shape = graph.op("Concat", size, graph.ints([1]), axis=0)
        labels = self._repeated(graph, context, model.label_kind, shape)
        if model.label_counts is not None:
            self._label_counts = self._repeated(graph, [1], model.label_counts.kind, size)
        states = {
            state.before: graph.op(
                "ConstantOfShape",
                graph.op("Concat", graph.ints([state.layers]), size, graph.ints([state.hidden]), axis=0),
                value=make_tensor("zero", FLOAT, [1], [0.0]),
            )
            for state in model.states
        }
        return self._predict(graph, "start:", labels, states)

    def turn(self, graph: Graph, token: str, values: Values) -> Values:
        """After a label in each row, `token` (rows,) int64; of `values` it takes those of `memory`."""
        model = self._model
        label = graph.op("Unsqueeze", graph.cast(token, model.label_kind), graph.ints([1]))
        if model.states:
            states = {state.before: values[state.before] for state in model.states}
            return self._predict(graph, "step:", label, states)
        bounds = map(graph.ints, ([1], [model.context], [1]))
        last = graph.op("Slice", values[model.labels], *bounds)
        return self._predict(graph, "step:", graph.op("Concat", last, label, axis=1), {})

    def _predict(self, graph: Graph, prefix: str, labels: str, states: Values) -> Values:
        model = self._model
        bound = {model.labels: labels, **states}
        if model.label_counts is not None:
            bound[model.label_counts.name] = self._label_counts
        nodes, name = instance(model.parts.labels, prefix, bound)
        graph.adopt(nodes)
        after = {state.before: name(state.after) for state in model.states} or {model.labels: labels}
        return {value: name(value) for value in model.parts.label_values} | after

    def _repeated(self, graph: Graph, values: object, kind: int, shape: str) -> str:
        name = graph.named("first")
        array = np.asarray(values, tensor_dtype_to_np_dtype(kind))
        graph.adopt([], [numpy_helper.from_array(array, name)])
        return graph.op("Expand", name, shape)
