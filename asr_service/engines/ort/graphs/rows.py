"""Which rows a step computes: all of them, with masks, or only those that need it."""

from dataclasses import replace
from typing import Protocol

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph
from asr_service.engines.ort.graphs.prediction import Prediction, Values
from asr_service.engines.ort.graphs.rules import PLACE, Choice
from asr_service.engines.ort.graphs.step import Around
from asr_service.engines.ort.graphs.transducer import Shape

ENDS, ROW = "ends", "row"
"""Of each row that is there, the frame behind its last and its number in the batch, int64."""


class Rows(Protocol):
    def begin(self, main: Graph, /) -> Values:
        """What steps hand on for its own use."""

    def around(self, body: Graph, before: Values, /) -> Around:
        """What a step uses, of the rows that are there."""

    def hand_on(self, body: Graph, choice: Choice, before: Values, moved: Values, /) -> tuple[str, Values]:
        """Whether any row goes on, and what the next step is handed; `moved` is where to look next, and the count."""

    def note(self, body: Graph, before: Values, found: str, kind: int, /) -> str:
        """What was found in the rows that are there, as (batch,)."""


class AllRows:
    """The prediction network runs for all rows, and those without a label keep what they had: few nodes.

    For GPUs, where a node costs its launch more than what it computes.
    """

    def __init__(self, prediction: Prediction, around: Around) -> None:
        self._prediction, self._around = prediction, around

    def begin(self, _main: Graph) -> Values:
        return {}

    def around(self, _body: Graph, _before: Values) -> Around:
        return self._around

    def hand_on(self, body: Graph, choice: Choice, before: Values, moved: Values) -> tuple[str, Values]:
        after = self._prediction.turn(body, choice.token, before)
        masks = self._masks(body, choice.emitted)
        kept = {
            value: body.op("Where", masks[_masked(shape)], after[value], before[value])
            for value, shape in self._prediction.shapes.items()
        }
        return _any(body, body.op("Less", moved[PLACE], self._around.ends)), moved | kept

    def note(self, _body: Graph, _before: Values, found: str, _kind: int) -> str:
        return found

    def _masks(self, body: Graph, rows: str) -> dict[Shape, str]:
        """What marks these rows, by its shape."""
        masks: dict[Shape, str] = {(-1,): rows}
        for shape in map(_masked, self._prediction.shapes.values()):
            axes = [axis for axis, size in enumerate(shape) if size == 1]
            masks[shape] = masks.get(shape) or body.op("Unsqueeze", rows, body.ints(axes))
        return masks


class NeededRows:
    """The prediction network runs for the rows that found a label, and rows that ended leave: little arithmetic.

    For CPUs, since shapes depend on what a step finds.
    """

    def __init__(self, prediction: Prediction, around: Around) -> None:
        self._prediction, self._around = prediction, around
        self._axes = {value: shape.index(-1) for value, shape in prediction.shapes.items()}
        self._nothing = dict[int, str]()

    def begin(self, main: Graph) -> Values:
        ends = self._around.ends
        for kind, value in ((INT64, main.ints(-1)), (FLOAT, main.floats(0))):
            self._nothing[kind] = main.op("Expand", value, main.op("Shape", ends))
        return {ENDS: ends, ROW: numbers(main, ends)}

    def around(self, body: Graph, before: Values) -> Around:
        around = replace(self._around, ends=before[ENDS])
        if around.window == 1:
            return around
        return replace(around, firsts=firsts(body, around.ends, around.window))

    def hand_on(self, body: Graph, choice: Choice, before: Values, moved: Values) -> tuple[str, Values]:
        staying = body.op("Less", moved[PLACE], before[ENDS])
        asking = body.op("And", choice.emitted, staying)
        who = _indices(body, asking)
        own = {
            value: body.op("Gather", before[value], who, axis=self._axes[value])
            for value in self._prediction.memory
        }
        after = self._prediction.turn(body, body.op("Gather", choice.token, who), own)
        who = _indices(body, staying)
        place = body.op("Gather", self._places(body, asking), who)
        values = {
            value: body.op(
                "Gather", body.op("Concat", before[value], after[value], axis=axis), place, axis=axis
            )
            for value, axis in self._axes.items()
        }
        rows = moved | {name: before[name] for name in (ENDS, ROW)}
        return _any(body, staying), values | {name: body.op("Gather", rows[name], who) for name in rows}

    def note(self, body: Graph, before: Values, found: str, kind: int) -> str:
        return body.op("ScatterElements", self._nothing[kind], before[ROW], found)

    def _places(self, body: Graph, asking: str) -> str:
        """Of each row's values, where those of the rows that asked stand behind those of all."""
        behind = body.op("CumSum", body.cast(asking, INT64), body.ints(0))
        last = body.op("Sub", body.op("Size", asking), body.ints(1))
        return body.op("Where", asking, body.op("Add", behind, last), numbers(body, asking))


def numbers(graph: Graph, rows: str) -> str:
    """0, 1, 2, … as many as `rows` has."""
    return graph.op("Range", graph.ints(0), graph.op("Size", rows), graph.ints(1))


def firsts(graph: Graph, rows: str, window: int) -> str:
    """0, `window`, 2 * `window`, … as many as `rows` has."""
    return graph.op("Mul", numbers(graph, rows), graph.ints(window))


def _indices(graph: Graph, chosen: str) -> str:
    return graph.op("Squeeze", graph.op("NonZero", chosen), graph.ints([0]))


def _masked(shape: Shape) -> Shape:
    """Of a mask of rows for values of this shape."""
    return tuple(-1 if size == -1 else 1 for size in shape)


def _any(graph: Graph, mask: str) -> str:
    """By a product, which on CUDA is launched sooner than a reduction."""
    marks = graph.cast(mask, FLOAT)
    return graph.cast(graph.op("MatMul", marks, marks), BOOL)
