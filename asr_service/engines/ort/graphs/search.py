"""Greedy search of transducers as one ONNX graph: a Loop around the model's own prediction network and joint.

Each row goes at its own pace: a step evaluates the joint at every row's own frames, and then the prediction network, of
which rows that found no label keep nothing. The rules are those of Bataev et al., "Label-Looping: Highly Efficient Decoding
for Transducers" (2024), without its nested loops, where all rows wait for the one with the most blanks before its next
label. Steps, simulated for 128 utterances of 15 to 20 s with 3.3 tokens a second, by how many frames a step looks at to find
the first label in them:

    frames                          1     2     4     8    16    nested loops
    RNN-T, 80 ms                  322   182   107    80    78           1,254
    stateless, 40 ms              498   269   154    96    79           2,371
    TDT, 80 ms, durations to 4     93                                     330

The encoder's frames stay on the device: what the joint computes of frames alone is computed before the loop, once for all.
"""

import onnx

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph, Shape
from asr_service.engines.ort.graphs.inlining import instance, used
from asr_service.engines.ort.graphs.prediction import Prediction, Values
from asr_service.engines.ort.graphs.rows import AllRows, NeededRows, Rows, firsts
from asr_service.engines.ort.graphs.rules import COUNT, PLACE, Rules, advance
from asr_service.engines.ort.graphs.step import Around, Step
from asr_service.engines.ort.graphs.transducer import Transducer

_FROM_HOST: dict[str, Shape] = {"starts": ("batch",), "ends": ("batch",), "last": (), "limit": ()}


def compose(model: Transducer, rules: Rules, *, window: int = 1, all_rows: bool = False) -> onnx.ModelProto:
    """A graph that decodes a batch of encoder outputs, `window` frames of a row in a step; `model` has been squeezed.

    Inputs: `frames`, the encoder's output, float (batch, time, dim) or as NeMo has it (batch, dim, time). From the host,
    int64: `starts` and `ends` (batch,), each utterance's first frame and the one behind its last, counted through the
    whole batch; `last` (), the batch's last; `limit` (), the most steps.

    Outputs, a row a step: `tokens` int64 (steps, batch), -1 where there was no label; `places` int64, the frame of each
    label, counted through the whole batch; `log_probs` float; of a TDT `durations` int64, in frames.

    With `all_rows` no step has a shape of its own, and every node of it runs on CUDA; without it computes less.
    Raises ValueError where a TDT, which says itself what frame comes next, is to look at several.
    """
    if rules.durations and window > 1:
        raise ValueError("a TDT looks at one frame at a time")
    main = Graph("search", opset=model.opset)
    main.input("frames", FLOAT, (None, None, None))
    for name, shape in _FROM_HOST.items():
        main.input(name, INT64, shape)
    weights = {value for node in model.parts.nodes for value in used(node)} & model.weights.keys()
    main.adopt(model.parts.constant, [model.weights[name] for name in sorted(weights)])
    _Loop(main, model, rules, window, all_rows=all_rows).write()
    return main.model(domains=model.domains)


class _Loop:
    def __init__(self, main: Graph, model: Transducer, rules: Rules, window: int, *, all_rows: bool) -> None:
        self._main, self._model, self._rules = main, model, rules
        self._prediction = Prediction(model, rules)
        around = Around(_frame_values(main, model), "ends", "last", window, firsts(main, "ends", window))
        self._rows: Rows = (AllRows if all_rows else NeededRows)(self._prediction, around)
        self._kinds = {"tokens": INT64, "places": INT64, "log_probs": FLOAT}
        if rules.durations:
            self._kinds["durations"] = INT64

    def write(self) -> None:
        main = self._main
        start = {PLACE: "starts"} | self._rows.begin(main)
        if self._rules.most > 1:
            start[COUNT] = main.op("Sub", "starts", "starts")
        start |= self._prediction.begin(main, main.op("Shape", "starts"))
        body = self._body(tuple(start))
        ends = tuple(main.named("end") for _ in start)
        inputs = ("limit", main.bools(True), *start.values())
        main.ops("Loop", *inputs, named=(*ends, *self._kinds), body=body.proto())
        for name, kind in self._kinds.items():
            main.give(name, kind, ("steps", "batch"))

    def _body(self, carried: tuple[str, ...]) -> Graph:
        """What a step is handed, what it does, and what it hands on."""
        body, rules = self._main.inner("step"), self._rules
        body.input(body.named("number"), INT64, ())
        body.input(body.named("going"), BOOL, ())
        before = {name: body.input(body.named("value"), self._kind(name)) for name in carried}
        around = self._rows.around(body, before)
        step = Step(body, self._model, rules, around)
        look = step.look if around.window == 1 else step.look_ahead
        choice = look(before[PLACE], before)
        moved = advance(body, rules, around.window, choice, before[PLACE], before.get(COUNT))
        going, after = self._rows.hand_on(body, choice, before, moved)
        body.give(going, BOOL)
        for name in carried:
            body.give(after[name], self._kind(name))
        found = {
            "tokens": body.op("Where", choice.emitted, choice.token, body.ints(-1)),
            "places": choice.place,
            "log_probs": choice.log_prob,
        }
        if choice.duration:
            found["durations"] = choice.duration
        for name, kind in self._kinds.items():
            body.give(self._rows.note(body, before, found[name], kind), kind)
        return body

    def _kind(self, name: str) -> int:
        return self._prediction.kind(name) if name in self._prediction.shapes else INT64


def _frame_values(main: Graph, model: Transducer) -> Values:
    """What the joint takes of frames, for all frames of the batch at once, as if each were a row."""
    frames = main.op("Transpose", "frames", perm=[0, 2, 1]) if model.time_last else "frames"
    rows = main.op("Reshape", frames, main.ints(model.frame_shape))
    nodes, name = instance(model.parts.frame, "frames:", {model.frame: rows})
    main.adopt(nodes)
    return {value: name(value) for value in model.parts.frame_values}
