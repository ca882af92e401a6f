"""A transducer's prediction network inside a search: its first turn, and its turns after each step."""

from collections.abc import Mapping

import numpy as np
from onnx import numpy_helper
from onnx.helper import make_tensor, tensor_dtype_to_np_dtype

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.graphs.inlining import instance
from asr_service.engines.ort.graphs.probe import Shape
from asr_service.engines.ort.graphs.rules import Choice, Rules
from asr_service.engines.ort.graphs.transducer import Transducer

Values = dict[str, str]
"""What steps hand on, by the names that the model has for it: what the joint takes, and states or the last labels."""


class Prediction:
    def __init__(self, model: Transducer, label_shapes: Mapping[str, Shape], rules: Rules) -> None:
        self._model, self._label_shapes, self._blank = model, label_shapes, rules.blank
        self._label_counts = ""

    def kind(self, value: str) -> int:
        return self._model.label_kind if value == self._model.labels else FLOAT

    def begin(self, graph: Graph, rows: str) -> Values:
        """Before the first label: `rows` is a tensor of shape (rows,). icefall's networks begin with -1, …, -1, blank."""
        model, count = self._model, graph.op("Shape", rows)
        context = [[*[-1] * (model.context - 1), self._blank]]
        labels = self._filled(graph, context, model.label_kind, count, graph.ints([1]))
        if model.label_counts is not None:
            self._label_counts = self._filled(graph, [1], model.label_counts.kind, count)
        states = {
            state.before: graph.op(
                "ConstantOfShape",
                graph.op("Concat", graph.ints([state.layers]), count, graph.ints([state.hidden]), axis=0),
                value=make_tensor("zero", FLOAT, [1], [0.0]),
            )
            for state in model.states
        }
        if not states:
            return {model.labels: labels, **self._predict(graph, "start:", labels, {})}
        return self._predict(graph, "start:", labels, states)

    def proceed(self, graph: Graph, choice: Choice, values: Values) -> Values:
        """After a step: rows that found no label keep what they have."""
        model = self._model
        token = graph.op("Unsqueeze", graph.cast(choice.token, model.label_kind), graph.ints([1]))
        if model.states:
            states = {state.before: values[state.before] for state in model.states}
            after = self._predict(graph, "step:", token, states)
            return {value: self._kept(graph, choice, value, after[value], values[value]) for value in after}
        last = graph.op(
            "Slice", values[model.labels], graph.ints([1]), graph.ints([model.context]), graph.ints([1])
        )
        labels = self._kept(
            graph, choice, model.labels, graph.op("Concat", last, token, axis=1), values[model.labels]
        )
        return {model.labels: labels, **self._predict(graph, "step:", labels, {})}

    def _predict(self, graph: Graph, prefix: str, labels: str, states: Values) -> Values:
        model = self._model
        bound = {model.labels: labels, **states}
        if model.label_counts is not None:
            bound[model.label_counts.name] = self._label_counts
        nodes, name = instance(model.parts.labels, prefix, bound)
        graph.adopt(nodes)
        return {value: name(value) for value in model.parts.label_values} | {
            state.before: name(state.after) for state in model.states
        }

    def _kept(self, graph: Graph, choice: Choice, value: str, after: str, before: str) -> str:
        """`after` in the rows that found a label, `before` in the others."""
        shape = self._label_shapes.get(value, (1, -1, 1) if self._model.states else (-1, 1))
        axes = [axis for axis, size in enumerate(shape) if size != -1]
        emitted = graph.op("Unsqueeze", choice.emitted, graph.ints(axes)) if axes else choice.emitted
        return graph.op("Where", emitted, after, before)

    def _filled(self, graph: Graph, values: list[list[int]] | list[int], kind: int, *sizes: str) -> str:
        array = np.asarray(values, tensor_dtype_to_np_dtype(kind))
        name = graph.named("first")
        graph.adopt([], [numpy_helper.from_array(array, name)])
        shape = graph.op("Concat", *sizes, axis=0) if len(sizes) > 1 else sizes[0]
        return graph.op("Expand", name, shape)
