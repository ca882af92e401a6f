"""Takes model files apart, so that their nodes can become part of graphs of ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import AttributeProto, inliner, version_converter

from asr_service.engines.ort.graphs.builder import Shape
from serving.errors import ModelUnavailable

OLDEST_OPSET = 13
"""Since then the axes of Squeeze, Unsqueeze and Split are inputs, as our graphs write them."""


@dataclass(frozen=True)
class Tensor:
    """What a model says about one of its inputs or outputs."""

    name: str
    kind: int
    shape: Shape


@dataclass(frozen=True)
class Model:
    """A model's graph, its weights among them what the file had as Constant nodes."""

    path: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: tuple[onnx.NodeProto, ...]
    weights: Mapping[str, onnx.TensorProto]
    opset: int
    domains: Mapping[str, int]
    """Versions of operator sets besides ONNX's own."""


def read(*paths: Path) -> tuple[Model, ...]:
    """The models with one opset in common, at least 13; names are told apart by a prefix a file.

    Raises ModelUnavailable where a file is no ONNX model, or too old to be converted.
    """
    protos = [_load(path) for path in paths]
    opset = max(OLDEST_OPSET, *map(_opset, protos))
    return tuple(
        _model(path, _converted(path, proto, opset), prefix=f"{number}:")
        for number, (path, proto) in enumerate(zip(paths, protos, strict=True))
    )


def renamed(nodes: Iterable[onnx.NodeProto], name: Callable[[str], str]) -> list[onnx.NodeProto]:
    """Copies of the nodes, those in branches and bodies included, with `name` applied to each value's name."""
    return [_renamed(node, name) for node in nodes]


def instance(
    nodes: Iterable[onnx.NodeProto], prefix: str, bound: Mapping[str, str]
) -> tuple[list[onnx.NodeProto], Callable[[str], str]]:
    """Copies of the nodes whose results carry a prefix, with the values named in `bound` replaced.

    Returns them and what gives a value's name in the copy; names of neither kind stay as they are: weights, say.
    """
    made = {output for node in nodes for output in node.output if output}
    names = {output: prefix + output for output in made} | dict(bound)

    def name(value: str) -> str:
        return names.get(value, value)

    return renamed(nodes, name), name


def used(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the values that a node needs, what its branches or body take from around it included."""
    yield from filter(None, node.input)
    for graph in _graphs(node):
        for inner in graph.node:
            yield from used(inner)
        yield from (output.name for output in graph.output)


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and onnx's own, from several libraries
        raise ModelUnavailable(f"{path} cannot be read as an ONNX model ({error}); fetch it again") from error
    return inliner.inline_local_functions(model) if model.functions else model


def _opset(model: onnx.ModelProto) -> int:
    return max(
        (int(entry.version) for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=1
    )


def _converted(path: Path, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    if _opset(model) == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelUnavailable(
            f"{path} has opset {_opset(model)} and cannot be brought to {opset} ({error}); export it with opset {opset}"
        ) from error


def _model(path: Path, model: onnx.ModelProto, *, prefix: str) -> Model:
    def name(value: str) -> str:
        return prefix + value if value else value

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer} | _constants(graph)
    return Model(
        path=path,
        inputs=tuple(_tensor(value, name) for value in graph.input if value.name not in weights),
        outputs=tuple(_tensor(value, name) for value in graph.output),
        nodes=tuple(renamed((node for node in graph.node if _constant(node) is None), name)),
        weights={name(key): _named(tensor, name(key)) for key, tensor in weights.items()},
        opset=_opset(model),
        domains={
            entry.domain: int(entry.version)
            for entry in model.opset_import
            if entry.domain not in {"", "ai.onnx"}
        },
    )


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    found = ((node.output[0], _constant(node)) for node in graph.node)
    return {name: tensor for name, tensor in found if tensor is not None}


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor of a Constant node; None of other nodes and of Constants in one of the short forms."""
    if node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _tensor(value: onnx.ValueInfoProto, name: Callable[[str], str]) -> Tensor:
    kind = value.type.tensor_type
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in kind.shape.dim
    )
    return Tensor(name(value.name), kind.elem_type, dims)


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    # The weights are not needed under their old names again, so a copy of megabytes can be saved.
    tensor.name = name
    return tensor


def _renamed(node: onnx.NodeProto, name: Callable[[str], str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    # A node's own name serves people only, and would not be unique any more.
    copy.ClearField("name")
    copy.input[:] = [name(value) for value in node.input]
    copy.output[:] = [name(value) for value in node.output]
    for graph in _graphs(copy):
        _rename_inside(graph, name)
    return copy


def _rename_inside(graph: onnx.GraphProto, name: Callable[[str], str]) -> None:
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            value.name = name(value.name)
    nodes = renamed(graph.node, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
