"""The least that makes writing ONNX graphs by hand bearable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL

OPSET, IR_VERSION = 17, 8
"""Old enough for every onnxruntime that a recogniser of these days bundles."""

Shape = tuple[int | str | None, ...]
"""A dimension is a number, or the name of one that varies."""


class Graph:
    """Collects nodes; every method gives the name of the value that it made."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Shape) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, kind: int, shape: Shape) -> None:
        """Hands `value` out under `name`."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.op("Identity", value, named=name)

    def floats(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.float32))

    def ints(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.int64))

    def op(self, kind: str, *inputs: str, named: str | None = None, **attributes: Any) -> str:
        """A node with one output."""
        (result,) = self.ops(kind, *inputs, named=(named or self.named(kind),), **attributes)
        return result

    def ops(self, kind: str, *inputs: str, named: tuple[str, ...], **attributes: Any) -> tuple[str, ...]:
        """A node with several outputs."""
        self._nodes.append(helper.make_node(kind, inputs, named, **attributes))
        return named

    def named(self, stem: str) -> str:
        """A name that no other value has."""
        return f"{self._name}/{stem}_{len(self._nodes) + len(self._weights)}"

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", value, to=kind)

    def proto(self) -> onnx.GraphProto:
        """The graph alone, as the branch of an If takes it."""
        return helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._weights)

    def save(self, path: Path, metadata: Mapping[str, object] | None = None) -> None:
        model = helper.make_model(
            self.proto(), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, {key: str(value) for key, value in (metadata or {}).items()})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)

    def _weight(self, values: np.ndarray[Any, Any]) -> str:
        name = self.named("weight")
        self._weights.append(numpy_helper.from_array(values, name))
        return name
