"""Binds the files of a transducer: which values are frames, labels, states and logits, whatever their names.

Exporters name many values by chance, so inputs and outputs are found by their types, ranks and order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from asr_service.engines.ort.graphs.builder import FLOAT, INT32, INT64
from asr_service.engines.ort.graphs.inlining import Model, Tensor, read, renamed
from asr_service.engines.ort.graphs.partition import Parts, needed, split
from serving.errors import ModelUnavailable

Shape = tuple[int, ...]
"""Of a value in rows, with -1 in place of their number."""


@dataclass(frozen=True)
class State:
    """One tensor of a recurrent prediction network."""

    before: str
    after: str
    shape: Shape
    """(layers, -1, hidden)."""


@dataclass(frozen=True)
class Transducer:
    """A prediction network and a joint in one graph, which takes rows of single frames."""

    parts: Parts
    weights: Mapping[str, onnx.TensorProto]
    opset: int
    domains: Mapping[str, int]
    frame: str
    frame_shape: Shape
    """(-1, dim), or (-1, dim, 1) with an axis for time."""
    labels: str
    """The last label before a recurrent network, the last few before a stateless one."""
    label_kind: int
    label_shape: Shape
    """(-1, labels)."""
    label_counts: Tensor | None
    """Shape (rows,): NeMo's networks take it and give it back unused."""
    states: tuple[State, ...]
    """None before a stateless network."""
    logits: str
    time_last: bool
    """Whether the encoder gives (batch, dim, time), as NeMo's do, instead of (batch, time, dim)."""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Of what the parts hand to each other and of the logits; once the model was squeezed."""

    @property
    def outputs(self) -> int:
        """Tokens, and durations if there are any."""
        return self.shapes[self.logits][-1]


def stateless(decoder: Path, joiner: Path) -> Transducer:
    """The decoder of icefall, which looks back at a fixed number of labels, and its joiner.

    Raises ModelUnavailable where the files are no such models.
    """
    prediction, joint = read(decoder, joiner)
    return _joined(prediction, joint, ())


def recurrent(decoder: Path, joiner: Path) -> Transducer:
    """NeMo's prediction network and joint as sherpa-onnx's scripts export them.

    Raises ModelUnavailable where the files are no such models.
    """
    prediction, joint = read(decoder, joiner)
    return _joined(prediction, joint, _states(prediction, _floats(prediction)))


def fused(decoder_joint: Path) -> Transducer:
    """NeMo's prediction network and joint in one file, as NeMo itself exports them.

    Raises ModelUnavailable where the file is no such model.
    """
    (model,) = read(decoder_joint)
    floats = _floats(model)
    if not floats or not model.outputs:
        raise ModelUnavailable(f"{model.path} takes no frames; it is no decoder with a joiner")
    states = _states(model, floats[1:])
    return _transducer((model,), model.nodes, floats[0], states, model.outputs[0].name)


def _joined(prediction: Model, joint: Model, states: tuple[State, ...]) -> Transducer:
    inputs = _floats(joint)
    if len(inputs) != 2 or not joint.outputs or not prediction.outputs:
        raise ModelUnavailable(f"{joint.path} takes {len(inputs)} tensors instead of two; it is no joiner")
    frame, predicted = inputs
    bound = {predicted.name: prediction.outputs[0].name}
    nodes = (*prediction.nodes, *renamed(joint.nodes, lambda value: bound.get(value, value)))
    return _transducer((prediction, joint), nodes, frame, states, joint.outputs[0].name)


def _transducer(
    models: tuple[Model, ...],
    nodes: Sequence[onnx.NodeProto],
    frame: Tensor,
    states: tuple[State, ...],
    logits: str,
) -> Transducer:
    _check_precision(models)
    labels, counts = _labels(models[0]), _label_counts(models[0])
    makers = {output: node for node in nodes for output in node.output}
    logits = _before_log_softmax(makers, logits)
    states = tuple(replace(state, after=_without_copies(makers, state.after)) for state in states)
    inputs = [labels.name, *(state.before for state in states), *([counts.name] if counts else [])]
    results = [logits, *(state.after for state in states)]
    parts = split(needed(nodes, results), frame.name, inputs)
    _check(models[-1].path, parts, results)
    return Transducer(
        parts=parts,
        weights={name: tensor for model in models for name, tensor in model.weights.items()},
        opset=models[0].opset,
        domains={domain: version for model in models for domain, version in model.domains.items()},
        frame=frame.name,
        frame_shape=(-1, _size(models[-1].path, frame), *([1] if len(frame.shape) == 3 else [])),
        labels=labels.name,
        label_kind=labels.kind,
        label_shape=(-1, 1 if states else _size(models[0].path, labels)),
        label_counts=counts,
        states=states,
        logits=logits,
        time_last=len(frame.shape) == 3,
    )


def _check_precision(models: Sequence[Model]) -> None:
    for model in models:
        if any(node.op_type.startswith("DynamicQuantize") for node in model.nodes):
            raise ModelUnavailable(
                f"{model.path} rounds by the largest value of a whole batch, so that utterances would change each other: take "
                "the model's fp32 files, or choose the engine sherpa"
            )


def _check(path: Path, parts: Parts, results: Sequence[str]) -> None:
    logits, *states = results
    from_joint = {output for node in parts.joint for output in node.output}
    from_labels = {output for node in parts.labels for output in node.output}
    if logits not in from_joint or not from_labels.issuperset(states):
        raise ModelUnavailable(
            f"{path} does not join a frame with what was said before; it is no transducer's"
        )


def _without_copies(makers: Mapping[str, onnx.NodeProto], value: str) -> str:
    while value in makers and makers[value].op_type == "Identity":
        value = makers[value].input[0]
    return value


def _before_log_softmax(makers: Mapping[str, onnx.NodeProto], logits: str) -> str:
    """Some exports end in LogSoftmax; the search takes it of the tokens that it chose and needs no other."""
    value = _without_copies(makers, logits)
    if value in makers and makers[value].op_type == "LogSoftmax":
        return _without_copies(makers, makers[value].input[0])
    return value


def _states(model: Model, before: Sequence[Tensor]) -> tuple[State, ...]:
    """The outputs come in the same order as the inputs, behind all others."""
    after = model.outputs[max(1, len(model.outputs) - len(before)) :]
    if not before or len(after) != len(before):
        raise ModelUnavailable(f"{model.path} takes {len(before)} states and gives back {len(after)}")
    return tuple(_state(model, *pair) for pair in zip(before, after, strict=True))


def _state(model: Model, before: Tensor, after: Tensor) -> State:
    match before.shape:
        case (int(layers), _, int(hidden)):
            return State(before.name, after.name, (layers, -1, hidden))
    raise ModelUnavailable(f"{model.path} does not say how large its states are; export it again")


def _labels(model: Model) -> Tensor:
    found = _integers(model, rank=2)
    if len(found) != 1:
        raise ModelUnavailable(f"{model.path} has {len(found)} inputs that could be labels instead of one")
    return found[0]


def _label_counts(model: Model) -> Tensor | None:
    return next(iter(_integers(model, rank=1)), None)


def _integers(model: Model, *, rank: int) -> list[Tensor]:
    return [tensor for tensor in model.inputs if tensor.kind in {INT32, INT64} and len(tensor.shape) == rank]


def _floats(model: Model) -> list[Tensor]:
    return [tensor for tensor in model.inputs if tensor.kind == FLOAT and len(tensor.shape) in {2, 3}]


def _size(path: Path, tensor: Tensor) -> int:
    size = tensor.shape[1]
    if not isinstance(size, int):
        raise ModelUnavailable(f"{path} does not say how large its input {tensor.name} is; export it again")
    return size
