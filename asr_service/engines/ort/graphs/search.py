"""Greedy search of transducers as one ONNX graph: a Loop around the model's own prediction network and joint.

Each row goes at its own pace: a step evaluates the joint at every row's own frames, and then the prediction network, of
which rows that found no label keep nothing. The rules are those of Bataev et al., "Label-Looping: Highly Efficient Decoding
for Transducers" (2024), without its nested loops, where all rows wait for the one with the most blanks before its next
label. Steps for 128 utterances of 15 to 20 s with 3.3 tokens a second, by how many frames a step looks at to find the first
label in them:

    frames                          1     2     4     8    16    nested loops
    RNN-T, 80 ms                  322   182   107    80    78           1,254
    stateless, 40 ms              498   269   154    96    79           2,371
    TDT, 80 ms, durations to 4     93                                     330

The encoder's frames stay on the device: what the joint computes of frames alone is computed before the loop, once for all.
"""

import onnx

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph, Shape
from asr_service.engines.ort.graphs.inlining import instance
from asr_service.engines.ort.graphs.prediction import Prediction, Values
from asr_service.engines.ort.graphs.probe import Sizes
from asr_service.engines.ort.graphs.rules import Rules, advance
from asr_service.engines.ort.graphs.step import Around, Step
from asr_service.engines.ort.graphs.transducer import Transducer

_HOST_INPUTS: dict[str, Shape] = {
    "starts": ("batch",),
    "ends": ("batch",),
    "last": (),
    "limit": (),
    "rows": ("looks",),
    "firsts": ("batch",),
}


def compose(model: Transducer, sizes: Sizes, rules: Rules, *, window: int = 1) -> onnx.ModelProto:
    """A graph that decodes a batch of encoder outputs.

    Inputs: `frames`, the encoder's output, float (batch, time, dim) or as NeMo has it (batch, dim, time). From the host,
    int64: `starts` and `ends` (batch,), each utterance's first frame and the one behind its last, counted through the
    whole batch; `last` (), the batch's last; `limit` (), the most steps; `rows` (batch * window,), 0 window times, 1
    window times, …; `firsts` (batch,), 0, window, 2 * window, ….

    Outputs, a row a step: `tokens` int64 (steps, batch), -1 where there was no label; `places` int64, the frame of each
    label, counted through the whole batch; `log_probs` float; of a TDT `durations` int64, in frames.

    Raises ValueError where a TDT, which says itself what frame comes next, is to look at several.
    """
    if rules.durations and window > 1:
        raise ValueError("a TDT looks at one frame at a time")
    main = Graph("search", opset=model.opset)
    main.input("frames", FLOAT, (None, None, None))
    for name, shape in _HOST_INPUTS.items():
        main.input(name, INT64, shape)
    weights = model.parts.uses() & model.weights.keys()
    main.adopt(model.parts.constant, [model.weights[name] for name in sorted(weights)])
    around = Around(_frame_values(main, model), **{name: name for name in ("ends", "last", "rows", "firsts")})
    prediction = Prediction(model, sizes.label_shapes, rules)
    start = prediction.begin(main, "ends")
    body = main.inner("step")
    step = Step(body, model, sizes.label_shapes, rules, around)
    _fill(body, step, prediction, rules, window, tuple(start))
    _loop(main, body, rules, start)
    return main.model(domains=model.domains)


def _frame_values(main: Graph, model: Transducer) -> Values:
    """What the joint takes of frames, for all frames of the batch at once, as if each were a row."""
    size, *time = model.frame_shape
    frames = main.op("Transpose", "frames", perm=[0, 2, 1]) if time else "frames"
    bound = {model.frame: main.op("Reshape", frames, main.ints([-1, size, *time]))}
    nodes = list(model.parts.frame)
    if time:
        # NeMo's joint transposes each (dim, 1) first. Fused with the product behind it, as ONNX Runtime would, that makes
        # a product a frame of what is one for all.
        for node in filter(lambda node: _transposes(node, model.frame), model.parts.frame):
            bound[node.output[0]] = main.op("Reshape", frames, main.ints([-1, 1, size]))
            nodes.remove(node)
    inlined, name = instance(nodes, "frames:", bound)
    main.adopt(inlined)
    return {value: name(value) for value in model.parts.frame_values}


def _transposes(node: onnx.NodeProto, value: str) -> bool:
    """Whether it swaps the last two of the value's three axes."""
    permutation = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
    return node.op_type == "Transpose" and node.input[0] == value and permutation == [0, 2, 1]


def _fill(
    body: Graph, step: Step, prediction: Prediction, rules: Rules, window: int, carried: tuple[str, ...]
) -> None:
    """Writes a step: what it is handed, what it does, and what it hands on."""
    body.input(body.named("number"), INT64, ())
    body.input(body.named("going"), BOOL, ())
    place = body.input(body.named("place"), INT64)
    count = body.input(body.named("count"), INT64) if rules.most > 1 else None
    before = {value: body.input(body.named("value"), prediction.kind(value)) for value in carried}
    choice = step.look(place, before) if window == 1 else step.look_ahead(window, place, before)
    after, *counts = advance(body, rules, window, choice, place, count)
    values = prediction.proceed(body, choice, before)
    going = body.cast(body.op("Less", after, step.around.ends), FLOAT)
    body.give(body.cast(body.op("ReduceMax", going, keepdims=0), BOOL), BOOL)
    for value in (after, *counts):
        body.give(value, INT64)
    for value in carried:
        body.give(values[value], prediction.kind(value))
    body.give(body.op("Where", choice.emitted, choice.token, body.ints(-1)), INT64)
    body.give(choice.place, INT64)
    body.give(choice.log_prob, FLOAT)
    if choice.duration is not None:
        body.give(choice.duration, INT64)


def _loop(main: Graph, body: Graph, rules: Rules, start: Values) -> None:
    state = ["starts", *start.values()]
    if rules.most > 1:
        state.insert(1, main.op("Sub", "starts", "starts"))
    kinds = {"tokens": INT64, "places": INT64, "log_probs": FLOAT}
    if rules.durations:
        kinds["durations"] = INT64
    ends = tuple(main.named("end") for _ in state)
    main.ops("Loop", "limit", main.bools(True), *state, named=(*ends, *kinds), body=body.proto())
    for name, kind in kinds.items():
        main.give(name, kind, ("steps", "batch"))
