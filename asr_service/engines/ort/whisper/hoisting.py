"""Takes one step of a loop apart into what every step computes anew and what is the same for all of them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx

from asr_service.engines.ort.graphs.inlining import Model, renamed, used
from asr_service.engines.ort.graphs.partition import needed

_COPY = "fixed/"


@dataclass(frozen=True)
class Parts:
    """A model's nodes in an order in which they can run, and the weights that they use."""

    before: Sequence[onnx.NodeProto]
    before_weights: Sequence[onnx.TensorProto]
    inside: Sequence[onnx.NodeProto]
    """May use the values of `before`, by their names."""
    inside_weights: Sequence[onnx.TensorProto]


def hoist(model: Model, fixed: Iterable[str], moving: Iterable[str]) -> Parts:
    """`fixed` names the inputs that stay the same from step to step, `moving` the others.

    Constants belong inside, where an optimiser finds them beside their users. Those that are wanted before the loop as
    well are there a second time under other names.
    """
    still, changing = set(fixed), set(moving)
    constant, before, inside = list[onnx.NodeProto](), list[onnx.NodeProto](), list[onnx.NodeProto]()
    for node in model.nodes:
        values = set(used(node))
        if values & changing:
            changing.update(node.output)
            inside.append(node)
        elif values & still:
            still.update(node.output)
            before.append(node)
        else:
            constant.append(node)
    early = [*needed(constant, _values(before)), *before]
    weights = _weights(model, early)
    copied = {weight.name for weight in weights} | {name for node in early for name in node.output} - still
    return Parts(
        before=renamed(early, lambda name: _COPY + name if name in copied else name),
        before_weights=[_copy(weight) for weight in weights],
        inside=[*constant, *inside],
        inside_weights=_weights(model, [*constant, *inside]),
    )


def _weights(model: Model, nodes: Collection[onnx.NodeProto]) -> list[onnx.TensorProto]:
    wanted = _values(nodes)
    return [weight for name, weight in model.weights.items() if name in wanted]


def _values(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    return {value for node in nodes for value in used(node)}


def _copy(weight: onnx.TensorProto) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(weight)
    copy.name = _COPY + weight.name
    return copy
