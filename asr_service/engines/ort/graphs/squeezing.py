"""Takes axes of size 1 out of a transducer, and with them the nodes that only move such axes about.

Exports carry (1, rows, hidden) through an LSTM and (rows, 1, 1, dim) through a joint, with a dozen nodes between that compute
nothing. In a search each is launched at every step; without the axes a product and its bias are one node, too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import onnx
from onnx import helper

from asr_service.engines.ort.graphs.builder import INT64, Graph
from asr_service.engines.ort.graphs.inlining import renamed, used
from asr_service.engines.ort.graphs.partition import Nodes
from asr_service.engines.ort.graphs.transducer import Shape, State, Transducer

_VIEWS = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_ELEMENTWISE = {"Add", "Clip", "Div", "Mul", "Relu", "Sigmoid", "Sub", "Tanh"}


def squeeze(model: Transducer, shapes: Mapping[str, Shape]) -> Transducer:
    """Computes the same; `shapes` are those of all the model's values, as far as they have rows."""
    parts = model.parts
    memory = (model.labels, *(state.before for state in model.states))
    frame = _rewrite(model, shapes, parts.frame, {model.frame: model.frame}, parts.frame_values)
    after = (*parts.label_values, *(state.after for state in model.states))
    labels = _rewrite(model, shapes, parts.labels, dict(zip(memory, memory, strict=True)), after)
    taken = {value: labels.results[value] for value in parts.label_values}
    joint = _rewrite(model, shapes, parts.joint, frame.results | taken, (model.logits,))
    rewritten = (frame, labels, joint)
    kept = {name: _squeezed(shapes[value]) for one in rewritten for value, name in one.results.items()}
    return replace(
        model,
        parts=replace(
            parts,
            frame=frame.nodes,
            labels=labels.nodes,
            joint=joint.nodes,
            frame_values=tuple(frame.results.values()),
            label_values=tuple(taken.values()),
        ),
        weights=dict(model.weights) | {tensor.name: tensor for one in rewritten for tensor in one.weights},
        frame_shape=_squeezed(model.frame_shape),
        label_shape=_squeezed(model.label_shape),
        label_kind=INT64 if _indexes_only(labels.nodes, model.labels) else model.label_kind,
        states=tuple(
            State(state.before, labels.results[state.after], _squeezed(state.shape)) for state in model.states
        ),
        logits=joint.results[model.logits],
        shapes=kept,
    )


@dataclass(frozen=True)
class _Rewritten:
    nodes: Nodes
    weights: tuple[onnx.TensorProto, ...]
    results: dict[str, str]
    """Names of squeezed results, by the names that they had."""


def _rewrite(
    model: Transducer,
    shapes: Mapping[str, Shape],
    nodes: Nodes,
    inputs: Mapping[str, str],
    results: Iterable[str],
) -> _Rewritten:
    part = _Part(model, shapes, nodes, inputs, results)
    for node in nodes:
        part.rewrite(node)
    names = {value: part.squeezed(value) for value in results}
    graph = part.graph.proto()
    return _Rewritten(tuple(graph.node), tuple(graph.initializer), names)


class _Part:
    """One of a transducer's lists of nodes while it is rewritten."""

    def __init__(
        self,
        model: Transducer,
        shapes: Mapping[str, Shape],
        nodes: Nodes,
        inputs: Mapping[str, str],
        results: Iterable[str],
    ) -> None:
        """`inputs` are names of what it is given, squeezed, by the names that the model has for it."""
        self.graph = Graph(f"squeezed {'+'.join(results)}", opset=model.opset)
        self._shapes, self._weights = shapes, model.weights
        self._uses = Counter(value for node in nodes for value in used(node)) + Counter(results)
        self._squeezed, self._whole = dict(inputs), dict[str, str]()
        self._products = dict[str, onnx.NodeProto]()

    def squeezed(self, value: str) -> str:
        """Name of the value without axes of size 1; of one that has no rows, as it is."""
        self._settle(value)
        if value not in self._squeezed:
            whole, shape = self._whole.get(value, value), self._shapes.get(value, ())
            self._squeezed[value] = self._reshaped(whole, shape, _squeezed(shape))
        return self._squeezed[value]

    def whole(self, value: str) -> str:
        """Name of the value as the model has it."""
        self._settle(value)
        if value in self._squeezed and value not in self._whole:
            shape = self._shapes[value]
            self._whole[value] = self._reshaped(self._squeezed[value], _squeezed(shape), shape)
        return self._whole.get(value, value)

    def rewrite(self, node: onnx.NodeProto) -> None:
        output = node.output[0]
        if self._is_view(node):
            self._squeezed[output] = self.squeezed(node.input[0])
        elif self._is_product(node) and self._uses[output] == 1:
            # If it is not a bias that takes it, it is written then.
            self._products[output] = node
        elif self._is_bias(node):
            product, bias = sorted(node.input, key=self._products.__contains__, reverse=True)
            rows, matrix = self._products.pop(product).input
            self._squeezed[output] = self.graph.op("Gemm", self.squeezed(rows), matrix, bias, named=output)
        else:
            self._write(node)

    def _settle(self, value: str) -> None:
        if product := self._products.pop(value, None):
            self._write(product)

    def _write(self, node: onnx.NodeProto) -> None:
        names, known = (
            (self._squeezed, self.squeezed) if self._needs_no_axes(node) else (self._whole, self.whole)
        )
        given = {value: known(value) for value in used(node)}
        self.graph.adopt(renamed([node], lambda value: given.get(value, value)))
        names.update({output: output for output in node.output})

    def _reshaped(self, name: str, before: Shape, after: Shape) -> str:
        return name if before == after else self.graph.op("Reshape", name, self.graph.ints(after))

    def _is_view(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in _VIEWS or not self._shapes.keys() >= {node.input[0], node.output[0]}:
            return False
        shape = self._shapes[node.input[0]]
        order = [axis for axis in _attribute(node, "perm", range(len(shape))) if shape[axis] != 1]
        return order == sorted(order) and _squeezed(shape) == _squeezed(self._shapes[node.output[0]])

    def _is_product(self, node: onnx.NodeProto) -> bool:
        """Of rows with a matrix of weights."""
        if node.op_type != "MatMul" or node.input[1] not in self._weights:
            return False
        sizes = tuple(self._weights[node.input[1]].dims)
        return _squeezed(self._shapes.get(node.input[0], ())) == (-1, sizes[0]) and 1 not in sizes

    def _is_bias(self, node: onnx.NodeProto) -> bool:
        """Added to a product that waits for it."""
        kinds = [(value in self._products, value in self._weights) for value in node.input]
        return (
            node.op_type == "Add"
            and sorted(kinds) == [(False, True), (True, False)]
            and self._needs_no_axes(node)
        )

    def _needs_no_axes(self, node: onnx.NodeProto) -> bool:
        """Whether it computes the same of operands without axes of size 1."""
        shape = self._shapes.get(node.output[0], ())
        if node.op_type == "Gather":
            table, index = node.input
            sizes = self._weights[table].dims[1:] if table in self._weights else [1]
            return index in self._shapes and 1 not in sizes and _attribute(node, "axis", 0) == 0
        if node.op_type in _ELEMENTWISE and shape[-1:] != (1,):
            return all(self._fits(value, shape) for value in used(node))
        return self._is_product(node)

    def _fits(self, value: str, shape: Shape) -> bool:
        """Whether an operand of a result of this shape stays what it is: a number, a bias, or of equal shape."""
        if value in self._weights:
            return tuple(self._weights[value].dims) in {(), (1,), shape[-1:]}
        return _squeezed(self._shapes.get(value, ())) == _squeezed(shape)


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def _indexes_only(nodes: Nodes, labels: str) -> bool:
    """Whether labels only look up rows of tables, for which any kind of integer will do."""
    return all(node.op_type == "Gather" and node.input[0] != labels for node in nodes if labels in used(node))
