"""The least that makes writing ONNX graphs by hand bearable."""

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
DOUBLE = TensorProto.DOUBLE

OPSET, IR_VERSION = 17, 8
"""Old enough for every onnxruntime that runs these graphs, those that recognisers bundle included."""

Shape = tuple[int | str | None, ...]
"""A dimension is a number, or the name of one that varies."""


class Graph:
    """Collects nodes; every method gives the name of the value that it made.

    Nodes of an inner graph (the body of a Loop, a branch of an If) may use the values of the graphs around it by their
    names, so no two graphs of a model may share a name.
    """

    def __init__(self, name: str, *, opset: int = OPSET) -> None:
        self.opset = opset
        self._name = name
        self._numbers = count()
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def inner(self, name: str) -> "Graph":
        """An empty graph to become an attribute of one of this graph's nodes."""
        return Graph(f"{self._name}/{name}", opset=self.opset)

    def input(self, name: str, kind: int, shape: Shape | None = None) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, kind: int, shape: Shape | None = None) -> None:
        """Hands `value` out under `name`."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.op("Identity", value, named=name)

    def give(self, value: str, kind: int | None = None, shape: Shape | None = None) -> None:
        """Hands out `value` under its own name: no node, so no copy. ONNX Runtime infers a kind that is not given."""
        unknown = onnx.ValueInfoProto(name=value)
        self._outputs.append(unknown if kind is None else helper.make_tensor_value_info(value, kind, shape))

    def floats(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.float32))

    def doubles(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.float64))

    def ints(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.int64))

    def bools(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.bool_))

    def op(self, kind: str, *inputs: str, named: str | None = None, **attributes: Any) -> str:
        """A node with one output."""
        (result,) = self.ops(kind, *inputs, named=(named or self.named(kind),), **attributes)
        return result

    def ops(
        self, kind: str, *inputs: str, named: tuple[str, ...] | int, **attributes: Any
    ) -> tuple[str, ...]:
        """A node with several outputs: their names, or how many there are."""
        names = tuple(self.named(kind) for _ in range(named)) if isinstance(named, int) else named
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def greatest(self, values: str, axis: int) -> tuple[str, str]:
        """The greatest value along an axis, and where it stands, the first of equals; both keep the axis.

        Not by ArgMax: ONNX Runtime before 1.21 has no CUDA kernel for it (microsoft/onnxruntime#22713), and on CPUs it takes
        twice the time.
        """
        value, place = self.ops("TopK", values, self.ints([1]), named=2, axis=axis)
        return value, place

    def adopt(self, nodes: Iterable[onnx.NodeProto], weights: Iterable[onnx.TensorProto] = ()) -> None:
        """Takes over nodes and initializers as they are; their names must be new here."""
        self._nodes.extend(nodes)
        self._weights.extend(weights)

    def named(self, stem: str) -> str:
        """A name that no other value has."""
        return f"{self._name}/{stem}_{next(self._numbers)}"

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", value, to=kind)

    def proto(self) -> onnx.GraphProto:
        """The graph alone, as the branch of an If takes it."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._weights)
        # By their names ONNX Runtime parts nodes among devices. What it makes up for nameless ones ("Squeeze0") can be what a
        # fusion calls its own, and then a node is looked for on the wrong device (allocation_planner.cc refuses the graph).
        for number, node in enumerate(graph.node):
            node.name = f"{self._name}/node_{number}"
        return graph

    def model(self, *, domains: Mapping[str, int] | None = None) -> onnx.ModelProto:
        """`domains` names the operator sets besides ONNX's own, with their versions."""
        opsets = {"": self.opset, **(domains or {})}
        return helper.make_model(
            self.proto(),
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
            ir_version=IR_VERSION,
        )

    def save(self, path: Path, metadata: Mapping[str, object] | None = None) -> None:
        model = self.model()
        helper.set_model_props(model, {key: str(value) for key, value in (metadata or {}).items()})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)

    def _weight(self, values: np.ndarray[Any, Any]) -> str:
        name = self.named("weight")
        self._weights.append(numpy_helper.from_array(values, name))
        return name
