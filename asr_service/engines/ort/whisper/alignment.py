"""From the attention of Whisper's alignment heads to what it costs each token to lie at each frame, as ONNX nodes.

Reference: openai/whisper, whisper/timing.py, `find_alignment`, in the form that sherpa-onnx gives it (k2-fsa/sherpa-onnx,
sherpa-onnx/csrc/offline-whisper-dtw.cc): weights as scores of another softmax over the frames that hold audio, each frame
normalised over the tokens, a running median over seven frames, the mean over heads with its sign turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph
from asr_service.engines.ort.stages import Integers

WIDTH = 7
"""Frames that a median is taken of."""
_REACH = WIDTH // 2
_VARIANCE_FLOOR = 1e-9


def reflected(frames: Integers, longest: int) -> Integers:
    """Where a running median finds its frames: shape (rows, longest + WIDTH - 1), mirrored at each row's ends.

    `frames` says how many each row has. What stands behind a row's own end is any frame of it.
    """
    last = frames[:, None] - 1
    places = np.arange(-_REACH, longest + _REACH)
    mirrored = np.where(places < 0, -places, np.where(places > last, 2 * last - places, places))
    return np.clip(mirrored, 0, last)


@dataclass(frozen=True)
class Attention:
    """Names of values in a graph."""

    prompt: str
    """Of the prompt's tokens but the last: [N, heads, tokens, T]."""
    steps: str
    """Of the prompt's last token and of every one after it: [steps, N, heads, T]."""
    counts: str
    """Tokens that were found, [N] int64."""
    frames: str
    """Attention frames that hold audio, [N] int64."""
    mirror: str
    """What `reflected` gives, [N, M + WIDTH - 1], where M is the most of `frames`."""


def add_costs(graph: Graph, heard: Attention) -> str:
    """The name of the costs, [N, M, steps]: of each token the prompt's last and all that were found, at each frame."""
    longest = graph.op("Sub", _size(graph, heard.mirror, 1), graph.ints([WIDTH - 1]))
    masks = _masks(graph, heard, longest)
    heads = graph.op("Squeeze", _size(graph, heard.steps, 2), graph.ints([0]))
    shape = graph.op("Concat", _size(graph, heard.steps, 1), longest, _size(graph, heard.steps, 0), axis=0)
    body = _head(graph, heard, masks, longest)
    total = graph.op("Loop", heads, graph.bools(True), graph.op("ConstantOfShape", shape), body=body.proto())
    return graph.op("Div", total, graph.op("Neg", graph.cast(heads, FLOAT)))


@dataclass(frozen=True)
class _Masks:
    audible: str
    """[1, N, M] bool."""
    spoken: str
    """[tokens, N, 1] float, 1 for the prompt's tokens and those that were found."""
    tokens: str
    """[1, N, 1] float: how many."""


def _masks(graph: Graph, heard: Attention, longest: str) -> _Masks:
    zero, one = graph.ints(0), graph.ints(1)
    frames = graph.op("Range", zero, graph.op("Squeeze", longest, graph.ints([0])), one)
    before = _size(graph, heard.prompt, 2)
    count = graph.op("Add", heard.counts, graph.op("Add", before, one))
    total = graph.op("Add", before, _size(graph, heard.steps, 0))
    numbers = graph.op("Range", zero, graph.op("Squeeze", total, graph.ints([0])), one)
    spoken = graph.op("Less", graph.op("Unsqueeze", numbers, graph.ints([1])), count)
    return _Masks(
        audible=graph.op(
            "Unsqueeze",
            graph.op("Less", frames, graph.op("Unsqueeze", heard.frames, graph.ints([1]))),
            graph.ints([0]),
        ),
        spoken=graph.op("Unsqueeze", graph.cast(spoken, FLOAT), graph.ints([2])),
        tokens=graph.cast(graph.op("Unsqueeze", count, graph.ints([0, 2])), FLOAT),
    )


def _head(around: Graph, heard: Attention, masks: _Masks, longest: str) -> Graph:
    """The body of a loop over heads: one at a time, since the weights of all of them may fill a GPU."""
    graph = around.inner("head")
    number = graph.input("head", INT64, ())
    more = graph.input("more heads", BOOL, ())
    total = graph.input("total", FLOAT)
    prompt = graph.op("Gather", heard.prompt, number, axis=1)
    steps = graph.op("Gather", heard.steps, number, axis=2)
    weights = graph.op("Concat", graph.op("Transpose", prompt, perm=[1, 0, 2]), steps, axis=0)
    weights = graph.op("Slice", weights, graph.ints([0]), longest, graph.ints([2]))
    scores = _standardised(graph, _softmax(graph, weights, masks.audible), masks)
    found = graph.op("Slice", scores, _size(graph, heard.prompt, 2), graph.ints([2**31]), graph.ints([0]))
    smooth = _smoothed(graph, graph.op("Transpose", found, perm=[1, 2, 0]), heard.mirror)
    graph.output("more", more, BOOL)
    graph.output("sum", graph.op("Add", total, smooth), FLOAT)
    return graph


def _softmax(graph: Graph, weights: str, audible: str) -> str:
    masked = graph.op("Where", audible, weights, graph.floats(-np.inf))
    return graph.op("Softmax", masked, axis=-1)


def _standardised(graph: Graph, values: str, masks: _Masks) -> str:
    """Each frame over the tokens: [tokens, N, M]; 0 for what is no token."""

    def mean(summands: str) -> str:
        return graph.op("Div", graph.op("ReduceSum", summands, graph.ints([0])), masks.tokens)

    centre = mean(graph.op("Mul", values, masks.spoken))
    differences = graph.op("Mul", graph.op("Sub", values, centre), masks.spoken)
    variance = mean(graph.op("Mul", differences, differences))
    deviation = graph.op("Sqrt", graph.op("Add", variance, graph.floats(_VARIANCE_FLOOR)))
    return graph.op("Div", differences, deviation)


def _smoothed(graph: Graph, values: str, mirror: str) -> str:
    """The running median of [N, M, tokens] over seven frames, which are taken from the places that `mirror` names."""
    places = graph.op("Unsqueeze", mirror, graph.ints([2]))
    frames = graph.op("GatherND", values, places, batch_dims=1)
    wide = _size(graph, mirror, 1)

    def shifted(values: str, by: int, lost: int) -> str:
        """From `by` on, as many as there are but for `lost`."""
        end = graph.op("Add", wide, graph.ints([by - lost]))
        return graph.op("Slice", values, graph.ints([by]), end, graph.ints([1]))

    # Sorted once, each three neighbours serve two medians.
    threes = _sorted(graph, *(shifted(frames, by, 2) for by in range(3)))
    left, right = ([shifted(rank, by, WIDTH - 1) for rank in threes] for by in (0, 3))
    return _median(graph, left, right, shifted(frames, WIDTH - 1, WIDTH - 1))


def _sorted(graph: Graph, first: str, second: str, third: str) -> list[str]:
    low, high = graph.op("Min", first, second), graph.op("Max", first, second)
    top, rest = graph.op("Max", high, third), graph.op("Min", high, third)
    return [graph.op("Min", low, rest), graph.op("Max", low, rest), top]


def _median(graph: Graph, left: Sequence[str], right: Sequence[str], seventh: str) -> str:
    """Of two ascending threes and one more: it lies between the third and the fourth of the six, or is one of them."""
    third = graph.op(
        "Min", left[2], right[2], graph.op("Max", left[0], right[1]), graph.op("Max", left[1], right[0])
    )
    fourth = graph.op(
        "Max", left[0], right[0], graph.op("Min", left[2], right[1]), graph.op("Min", left[1], right[2])
    )
    return graph.op("Max", third, graph.op("Min", fourth, seventh))


def _size(graph: Graph, value: str, axis: int) -> str:
    """Shape (1,), as sizes and bounds are given."""
    return graph.op("Gather", graph.op("Shape", value), graph.ints([axis]))
