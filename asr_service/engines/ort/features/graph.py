"""Features as an ONNX graph, for GPUs: the same sums as the NumPy front ends', as products of matrices.

A frame of 400 samples is two and a half steps of 160, so frames are joined out of the signal cut into steps; there is no
gather. One product with a fixed matrix takes them to their spectra, whatever comes before the transform included: the mean
that Kaldi subtracts, pre-emphasis, the window. Only kinds of nodes that have CUDA kernels in all versions.
"""

import onnx

from asr_service.engines.ort.features.spectrum import LENGTH, STEP
from asr_service.engines.ort.graphs.builder import BOOL, DOUBLE, FLOAT, Graph
from asr_service.engines.ort.stages import GraphFrontEnd

_WHOLE, _REST = divmod(LENGTH, STEP)
STEPS_BEYOND = _WHOLE
"""How many more steps than frames the signal must have."""
_END = 2**31


def compose(front_end: GraphFrontEnd, *, channels_first: bool, doubles: bool = False) -> onnx.ModelProto:
    """From `samples`, (batch, (frames + STEPS_BEYOND) * STEP), and `heard`, (batch, frames, 1), to `features`.

    These have shape (batch, frames, bins), or (batch, bins, frames). With `doubles`, what comes before the logarithm is in
    double precision, for devices whose products in single precision are less than that.
    """
    graph = Graph("features")
    samples = graph.input("samples", FLOAT, ("batch", "samples"))
    heard = graph.input("heard", BOOL, ("batch", "frames", 1))
    power = _power(graph, front_end, graph.cast(samples, DOUBLE) if doubles else samples, doubles=doubles)
    features = front_end.finish(graph, graph.cast(power, FLOAT) if doubles else power, heard)
    axes = [0, 2, 1] if channels_first else [0, 1, 2]
    shape = ("batch", "frames", front_end.bins)
    if channels_first:
        features = graph.op("Transpose", features, perm=axes)
    graph.output("features", features, FLOAT, tuple(shape[axis] for axis in axes))
    return graph.model()


def _power(graph: Graph, front_end: GraphFrontEnd, samples: str, *, doubles: bool) -> str:
    constants = graph.doubles if doubles else graph.floats
    waves, filters = (constants(matrix) for matrix in front_end.matrices())
    spectra = graph.op("MatMul", _framed(graph, samples), waves)
    return graph.op("MatMul", graph.op("Mul", spectra, spectra), filters)


def _framed(graph: Graph, samples: str) -> str:
    """Shape (batch, frames, LENGTH)."""
    steps = graph.op("Reshape", samples, graph.ints([0, -1, STEP]))
    whole = [_shifted(graph, steps, by, STEP) for by in range(_WHOLE)]
    return graph.op("Concat", *whole, _shifted(graph, steps, _WHOLE, _REST), axis=2)


def _shifted(graph: Graph, steps: str, by: int, most: int) -> str:
    """As many steps as there are frames, from a later one on, and of each no more than its first samples."""
    ends = [by - STEPS_BEYOND or _END, most]
    return graph.op("Slice", steps, *(graph.ints(places) for places in ([by, 0], ends, [1, 2])))
