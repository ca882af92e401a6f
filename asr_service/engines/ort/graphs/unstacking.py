"""Hands each layer of a prediction network its own states, where an export stacks those of all layers in one tensor."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
from onnx import helper, numpy_helper

from asr_service.engines.ort.graphs.inlining import used
from asr_service.engines.ort.graphs.transducer import Shape, State, Transducer


@dataclass(frozen=True)
class _Stack:
    """The nodes that take single layers out of a state, in their order, and the node that joins them again."""

    cuts: tuple[onnx.NodeProto, ...]
    join: onnx.NodeProto

    def layers(self, shape: Shape) -> list[State]:
        return [
            State(cut.output[0], after, (1, *shape[1:]))
            for cut, after in zip(self.cuts, self.join.input, strict=True)
        ]


def unstack(model: Transducer) -> Transducer:
    """Computes the same, without the nodes that take states apart and join them. Others than such stay as they are."""
    states, gone = list[State](), list[onnx.NodeProto]()
    for state in model.states:
        stack = _stack(model, state)
        if stack is None:
            states.append(state)
        else:
            states.extend(stack.layers(state.shape))
            gone.extend((*stack.cuts, stack.join))
    labels = tuple(node for node in model.parts.labels if node not in gone)
    return replace(model, states=tuple(states), parts=replace(model.parts, labels=labels))


def _stack(model: Transducer, state: State) -> _Stack | None:
    nodes, layers = model.parts.nodes, range(state.shape[0])
    cuts = {_layer(node, state, model.weights): node for node in nodes if state.before in used(node)}
    joins = [node for node in nodes if state.after in node.output and _joins(node, len(layers))]
    is_read = any(state.after in used(node) for node in nodes)
    if cuts.keys() != set(layers) or not joins or is_read:
        return None
    return _Stack(tuple(cuts[layer] for layer in layers), joins[0])


def _layer(node: onnx.NodeProto, state: State, weights: Mapping[str, onnx.TensorProto]) -> int | None:
    """The one layer that a Slice takes of a state; None of other nodes."""
    if node.op_type != "Slice" or not weights.keys() >= set(node.input[1:]):
        return None
    start, end, axis, *step = (numpy_helper.to_array(weights[name]).tolist() for name in node.input[1:])
    whole = min(end[0], state.shape[0]) == start[0] + 1 and axis == [0] and step in ([], [[1]])
    return int(start[0]) if whole else None


def _joins(node: onnx.NodeProto, layers: int) -> bool:
    axis = next((helper.get_attribute_value(one) for one in node.attribute if one.name == "axis"), None)
    return node.op_type == "Concat" and axis == 0 and len(node.input) == layers
