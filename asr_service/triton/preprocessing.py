"""From audio to features as one ONNX graph: lengths looked at, edges laid, buckets filled up, features computed."""

from collections.abc import Sequence

import onnx

from asr_service.engines.ort.features.graph import STEPS_BEYOND
from asr_service.engines.ort.features.graph import compose as compose_features
from asr_service.engines.ort.features.spectrum import STEP
from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.pipeline import MIN_SAMPLES
from asr_service.engines.ort.stages import GraphFrontEnd
from asr_service.tensor_names import AUDIO
from asr_service.triton.laying import heard, lay

LENGTHS, FEATURES, FRAMES = "lengths", "features", "frames"


def compose(
    front_end: GraphFrontEnd, ceilings: Sequence[int], *, channels_first: bool, doubles: bool
) -> onnx.ModelProto:
    """From AUDIO, (batch, samples), and LENGTHS, (batch,) of 1 to that many, to FEATURES and FRAMES, (batch,).

    `ceilings` are the longest utterances of each length bucket, in samples, rising. A batch has as many feature frames as
    the longest of the bucket that its rows are as wide as, so these do not depend on who else is in it; FRAMES are a row's
    own. Beyond the last ceiling nothing is computed.
    """
    graph = Graph("preprocessing")
    audio = graph.input(AUDIO, FLOAT, ("batch", "samples"))
    given = graph.op("Unsqueeze", graph.input(LENGTHS, INT64, ("batch",)), graph.ints([1]))
    lengths = graph.op("Min", given, graph.ints(ceilings[-1]))
    own = graph.op("Max", lengths, graph.ints(MIN_SAMPLES))
    frames = _frames(graph, front_end, audio, ceilings)
    total = graph.op("Mul", graph.op("Add", frames, graph.ints(STEPS_BEYOND)), graph.ints(STEP))
    samples = lay(graph, front_end, audio, lengths, own, total)
    count = heard(graph, front_end, own)
    # As the graph of features calls what it takes.
    graph.op("Identity", samples, named="samples")
    graph.op("Unsqueeze", _mask(graph, frames, count), graph.ints([2]), named="heard")
    features = compose_features(front_end, channels_first=channels_first, doubles=doubles).graph
    graph.adopt(features.node, features.initializer)
    sizes = (front_end.bins, "frames") if channels_first else ("frames", front_end.bins)
    graph.give(FEATURES, FLOAT, ("batch", *sizes))
    graph.op("Squeeze", count, graph.ints([1]), named=FRAMES)
    graph.give(FRAMES, INT64, ("batch",))
    return graph.model()


def _frames(graph: Graph, front_end: GraphFrontEnd, audio: str, ceilings: Sequence[int]) -> str:
    """Of the bucket that so wide rows belong to, (1,)."""
    width = graph.op("Gather", graph.op("Shape", audio), graph.ints([1]))
    width = graph.op("Max", width, graph.ints(MIN_SAMPLES))
    passed = graph.cast(graph.op("Less", graph.ints(ceilings), width), INT64)
    bucket = graph.op("ReduceSum", passed, graph.ints([0]), keepdims=1)
    bucket = graph.op("Min", bucket, graph.ints(len(ceilings) - 1))
    return graph.op("Gather", graph.ints([front_end.frames(ceiling) for ceiling in ceilings]), bucket)


def _mask(graph: Graph, frames: str, count: str) -> str:
    """Which frames are a row's own, (batch, frames)."""
    places = graph.op("Range", graph.ints(0), graph.op("Squeeze", frames), graph.ints(1))
    return graph.op("Less", places, count)
