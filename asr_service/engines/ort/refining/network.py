"""An ONNX graph that can be changed in place: who makes a value, who takes it, and what is constant."""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

Values = npt.NDArray[np.generic]


class Network:
    """A model whose nodes stand in topological order, as ONNX wants them, before and after each change."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._nodes = list(model.graph.node)
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._shapes = _shapes(model)
        self._numbers = count()

    @property
    def nodes(self) -> tuple[NodeProto, ...]:
        return tuple(self._nodes)

    def producer(self, value: str) -> NodeProto | None:
        return next((node for node in self._nodes if value in node.output), None)

    def consumers(self, value: str) -> list[NodeProto]:
        return [node for node in self._nodes if value in node.input]

    def is_output(self, value: str) -> bool:
        return any(output.name == value for output in self.model.graph.output)

    def constant(self, value: str) -> Values | None:
        """None where the value is computed."""
        weight = self._weights.get(value)
        return None if weight is None else numpy_helper.to_array(weight)

    def shape(self, value: str) -> tuple[int | None, ...] | None:
        """None for what varies; None where not even the rank is known."""
        weight = self._weights.get(value)
        return tuple(weight.dims) if weight is not None else self._shapes.get(value)

    def hears(self, value: str) -> bool:
        """Whether the value depends on what the inputs hold, not only on their sizes."""
        inputs = {item.name for item in self.model.graph.input}
        makers = {output: node for node in self._nodes for output in node.output}
        seen, left = set[str](), [value]
        while left:
            name = left.pop()
            if name in inputs:
                return True
            maker = makers.get(name)
            if name not in seen and maker is not None and maker.op_type != "Shape":
                left.extend(maker.input)
            seen.add(name)
        return False

    def know(self, value: str, shape: tuple[int | None, ...]) -> None:
        """Notes the shape of a new value."""
        self._shapes[value] = shape

    def weigh(self, values: Values) -> str:
        """A new constant."""
        name = self._named("constant")
        self._weights[name] = numpy_helper.from_array(values, name)
        return name

    def insert(self, before: NodeProto, kind: str, *inputs: str, **attributes: Any) -> str:
        """A new node with one output, whose name it gives."""
        output = self._named(kind)
        self._place(before, helper.make_node(kind, inputs, [output], **attributes))
        return output

    def replace(self, node: NodeProto, kind: str, *inputs: str, **attributes: Any) -> None:
        """Another node in its place, which makes the same value."""
        new = helper.make_node(kind, inputs, list(node.output), **attributes)
        self._nodes[self._at(node)] = new

    def redirect(self, value: str, to: str, consumers: Iterable[NodeProto]) -> None:
        """Lets the consumers take another value."""
        for node in consumers:
            for position, name in enumerate(node.input):
                if name == value:
                    node.input[position] = to

    def prune(self) -> None:
        """Drops nodes and constants that nobody uses."""
        wanted = {output.name for output in self.model.graph.output}
        kept: list[NodeProto] = []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        self._nodes = kept[::-1]
        self._weights = {name: weight for name, weight in self._weights.items() if name in wanted}

    def finished(self) -> onnx.ModelProto:
        """The model with all changes."""
        graph, nodes, weights = self.model.graph, list(self._nodes), list(self._weights.values())
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(weights)
        return self.model

    @property
    def weights(self) -> Sequence[TensorProto]:
        return tuple(self._weights.values())

    def half(self, weight: TensorProto) -> None:
        """Keeps a constant in 16 bits; whoever takes it gets it cast back."""
        values = numpy_helper.to_array(weight).astype(np.float16)
        consumers = self.consumers(weight.name)
        self._weights[weight.name] = numpy_helper.from_array(values, weight.name)
        first = min(consumers, key=self._at)
        self.redirect(weight.name, self.insert(first, "Cast", weight.name, to=TensorProto.FLOAT), consumers)

    def _place(self, before: NodeProto, node: NodeProto) -> None:
        self._nodes.insert(self._at(before), node)

    def _at(self, node: NodeProto) -> int:
        return next(position for position, other in enumerate(self._nodes) if other is node)

    def _named(self, kind: str) -> str:
        return f"refined/{kind}_{next(self._numbers)}"


def is_nested(model: onnx.ModelProto) -> bool:
    """Whether nodes have graphs of their own, as loops and branches do."""
    return any(
        item.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS}
        for node in model.graph.node
        for item in node.attribute
    )


def attribute(node: NodeProto, name: str, otherwise: Any = None) -> Any:
    found = next((item for item in node.attribute if item.name == name), None)
    return otherwise if found is None else helper.get_attribute_value(found)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Inferred without the weights, of which only the sizes matter, since a message cannot hold 2 GB."""
    light = onnx.ModelProto()
    light.CopyFrom(_without_weights(model))
    inferred = onnx.shape_inference.infer_shapes(light, data_prop=True)
    return {
        info.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim
        )
        for info in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
        if info.type.tensor_type.HasField("shape")
    }


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large constants become inputs of their sizes; small ones can be axes or shapes, and stay."""
    graph = model.graph
    small = [weight for weight in graph.initializer if np.prod(weight.dims) <= _SMALL]
    large = [weight for weight in graph.initializer if np.prod(weight.dims) > _SMALL]
    inputs = [
        *graph.input,
        *(helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims) for weight in large),
    ]
    light = helper.make_graph(graph.node, graph.name, inputs, graph.output, small)
    return helper.make_model(light, opset_imports=model.opset_import, ir_version=model.ir_version)


_SMALL = 64
