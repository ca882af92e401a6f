"""The ear that all tiny models share: features in, the frames out at which a burst of sound begins.

A convolution averages the features over bins and frames, a threshold tells sound from silence, and a second convolution
fires on rising edges. Counting the edges says which piece of the phrase each of them stands for.
"""

from dataclasses import dataclass

import numpy as np

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph

STEEP = 1e4
"""Gain before clipping, which makes the threshold a step."""


@dataclass(frozen=True)
class Ear:
    """`stride` feature frames make one encoder frame; louder than `threshold`, in feature units, is sound."""

    bins: int
    stride: int
    threshold: float

    def onsets(self, graph: Graph, features: str, lengths: str | None = None) -> str:
        """[N, bins, T] features to [N, ceil(T / stride)] floats: 1 where a burst begins, else 0.

        Frames from `lengths` on (int64 [N], in encoder frames) are silent.
        """
        kernel = np.full((1, self.bins, self.stride), 1 / (self.bins * self.stride))
        level = graph.op(
            "Conv",
            features,
            graph.floats(kernel),
            graph.floats([-self.threshold]),
            strides=[self.stride],
            # The last frame may be incomplete; `lengths` rounds it away again.
            pads=[0, self.stride - 1],
        )
        sound = graph.op(
            "Clip", graph.op("Mul", level, graph.floats(STEEP)), graph.floats(0), graph.floats(1)
        )
        if lengths is not None:
            sound = graph.op("Mul", sound, _mask(graph, sound, lengths))
        edges = graph.op("Relu", graph.op("Conv", sound, graph.floats([[[-1, 1]]]), pads=[1, 0]))
        return graph.op("Squeeze", edges, graph.ints([1]))

    def lengths(self, graph: Graph, lengths: str) -> str:
        """Complete encoder frames, int64 [N], in so many feature frames."""
        return graph.op("Div", graph.cast(lengths, INT64), graph.ints(self.stride))


def pieces(graph: Graph, onsets: str, count: int, *, shift: str | None = None) -> str:
    """[N, T] onsets to [N, T, count]: at each onset a one-hot of its number modulo `count`, elsewhere zeros.

    `shift`, int64 [N, 1], is added to the numbers.
    """
    number = _latest(graph, onsets)
    if shift is not None:
        number = graph.op("Add", number, shift)
    number = graph.op("Mod", number, graph.ints(count))
    return graph.op("Mul", one_hot(graph, number, count), _column(graph, onsets))


def spans(graph: Graph, onsets: str, count: int) -> str:
    """[N, T] onsets to [N, T, count]: a one-hot of the latest onset's number, zeros before the first."""
    return one_hot(graph, _latest(graph, onsets), count)


def one_hot(graph: Graph, number: str, count: int) -> str:
    """[…] int64 to […, count] floats; a number out of range becomes zeros."""
    return graph.cast(graph.op("Equal", _column(graph, number), graph.ints(range(count))), FLOAT)


def steps(graph: Graph, tensor: str, axis: int) -> str:
    """0, 1, 2, … as long as `tensor` along `axis`, int64."""
    size = graph.op("Shape", tensor, start=axis, end=axis + 1)
    return graph.op("Range", graph.ints(0), graph.op("Squeeze", size), graph.ints(1))


def _latest(graph: Graph, onsets: str) -> str:
    """Number of the latest onset so far, from 0; -1 before the first."""
    seen = graph.op("CumSum", onsets, graph.ints(1))
    return graph.cast(graph.op("Sub", seen, graph.floats(1)), INT64)


def _mask(graph: Graph, sound: str, lengths: str) -> str:
    """[N, 1, T] floats: 1 before each utterance's end."""
    ends = graph.op("Unsqueeze", lengths, graph.ints([1, 2]))
    return graph.cast(graph.op("Less", steps(graph, sound, 2), ends), FLOAT)


def _column(graph: Graph, value: str) -> str:
    return graph.op("Unsqueeze", value, graph.ints([-1]))
