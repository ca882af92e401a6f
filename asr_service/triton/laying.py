"""Utterances laid as the frames of a front end lie on them, in a graph: what NumPy does in its `surrounded`."""

import numpy as np

from asr_service.engines.ort.features import NemoFeatures, kaldi
from asr_service.engines.ort.features.nemo import FADING
from asr_service.engines.ort.features.spectrum import LENGTH, STEP
from asr_service.engines.ort.graphs.builder import Graph
from asr_service.engines.ort.stages import GraphFrontEnd

# What stands behind an utterance in the last frames that hear it.
_BEHIND = LENGTH // 2


def lay(graph: Graph, front_end: GraphFrontEnd, audio: str, lengths: str, own: str, total: str) -> str:
    """As many samples of each row as `total`, (1,), from the first frame's first one on; zeros where nothing stands.

    `audio` is (batch, samples), of which `lengths` are a row's and `own` with the silence that extends short ones; both are
    (batch, 1).
    """
    places = graph.op("Range", graph.ints(0), graph.op("Squeeze", total), graph.ints(1))
    if isinstance(front_end, NemoFeatures):
        return _fading(graph, audio, lengths, own, graph.op("Sub", places, graph.ints(_BEHIND)))
    return _mirrored(graph, audio, lengths, own, graph.op("Sub", places, graph.ints(kaldi.BEFORE)))


def heard(graph: Graph, front_end: GraphFrontEnd, own: str) -> str:
    """`front_end.heard` of numbers of samples, of any shape."""
    rounding = 0 if isinstance(front_end, NemoFeatures) else STEP // 2
    frames = graph.op("Div", graph.op("Add", own, graph.ints(rounding)), graph.ints(STEP))
    return graph.op("Min", frames, graph.ints(front_end.heard(2**40)))


def _mirrored(graph: Graph, audio: str, lengths: str, own: str, places: str) -> str:
    """As Kaldi has it: both edges in a mirror, the edge's sample included."""
    before = graph.op("Sub", graph.ints(-1), places)
    behind = graph.op("Sub", graph.op("Sub", graph.op("Add", own, own), graph.ints(1)), places)
    inside = graph.op("Where", graph.op("Less", places, graph.ints(0)), before, places)
    source = graph.op("Where", graph.op("Less", places, own), inside, behind)
    reached = graph.op("Less", places, graph.op("Add", own, graph.ints(_BEHIND)))
    kept = graph.op("And", reached, graph.op("Less", source, lengths))
    return graph.op("Where", kept, _taken(graph, audio, source), graph.floats(0))


def _fading(graph: Graph, audio: str, lengths: str, own: str, places: str) -> str:
    """As NeMo has it: zeros, but what pre-emphasis takes to zero behind the last sample."""
    one, zero = graph.ints(1), graph.ints(0)
    source = graph.op("Min", places, graph.op("Sub", own, one))
    beyond = graph.op("Add", graph.op("Sub", places, own), one)
    beyond = graph.op("Min", graph.op("Max", beyond, zero), graph.ints(_BEHIND + 1))
    factors = graph.op("Gather", graph.floats(np.concatenate([[1], FADING, [0]])), beyond)
    begun = graph.op("Less", graph.ints(-1), places)
    kept = graph.op("And", begun, graph.op("Less", source, lengths))
    values = graph.op("Mul", _taken(graph, audio, source), factors)
    return graph.op("Where", kept, values, graph.floats(0))


def _taken(graph: Graph, audio: str, source: str) -> str:
    """Of each row; places beyond its ends, which nobody looks at, are some other's."""
    width = graph.op("Gather", graph.op("Shape", audio), graph.ints([1]))
    last = graph.op("Sub", width, graph.ints(1))
    place = graph.op("Min", graph.op("Max", source, graph.ints(0)), last)
    return graph.op("GatherElements", audio, place, axis=1)
