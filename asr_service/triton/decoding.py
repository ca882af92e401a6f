"""Greedy searches as ONNX graphs from an encoder's output to tokens: a row an utterance, -1 where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from asr_service.engines.ort.encoder import Signature
from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from asr_service.engines.ort.search import GreedySearch
from asr_service.engines.ort.whisper.decoder import Decoder
from asr_service.engines.ort.whisper.search import MEL_FRAMES_A_SECOND, TOKENS_A_SECOND, most_tokens
from asr_service.engines.ort.whisper.search_graph import search_graph

ENCODED, KEYS, VALUES = "frames", "keys", "values"
LENGTHS = "lengths"
TOKENS = "token_ids"
_NONE = -1


def ctc(signature: Signature, blank: int) -> onnx.ModelProto:
    """From ENCODED, (batch, time, tokens), normalised or not, and LENGTHS, (batch,), to TOKENS, (batch, time)."""
    graph = Graph("decoding")
    logits = graph.input(ENCODED, FLOAT, ("batch", "time", "tokens"))
    lengths = _lengths(graph, signature)
    _, greatest = graph.greatest(logits, axis=2)
    best = graph.op("Squeeze", greatest, graph.ints([2]))
    said = graph.op("And", _changed(graph, best), graph.op("Not", graph.op("Equal", best, graph.ints(blank))))
    said = graph.op("And", said, _first(graph, _size(graph, logits, 1), lengths))
    graph.op("Where", said, best, graph.ints(_NONE), named=TOKENS)
    graph.give(TOKENS, INT64, ("batch", "time"))
    return graph.model()


def transducer(signature: Signature, search: GreedySearch, device: str) -> onnx.ModelProto:
    """From ENCODED as the encoder gives it, and LENGTHS, (batch,), to TOKENS, (batch, steps).

    `device` is "cpu" or "cuda".
    """
    inner = search.graph(device)
    versions = {entry.domain: entry.version for entry in inner.opset_import}
    graph = Graph("decoding", opset=versions.pop(""))
    (frames, *_) = inner.graph.input
    _, dim = search.model.frame_shape
    graph.input(
        frames.name, FLOAT, ("batch", dim, "time") if search.model.time_last else ("batch", "time", dim)
    )
    lengths = _lengths(graph, signature)
    _places(graph, lengths, _size(graph, frames.name, signature.time_axis_out), search.rules.most)
    graph.adopt(inner.graph.node, inner.graph.initializer)
    graph.op("Transpose", "tokens", perm=[1, 0], named=TOKENS)
    graph.give(TOKENS, INT64, ("batch", "steps"))
    return graph.model(domains=versions)


def whisper(
    decoder: Decoder, metadata: Mapping[str, str], prompt: Sequence[int], end: int
) -> onnx.ModelProto:
    """From the audio's KEYS and VALUES, (batch, layers, time, state), and LENGTHS in mel frames, to TOKENS, (batch, steps)."""
    inner = search_graph(replace(decoder, heads=0), end)
    versions = {entry.domain: entry.version for entry in inner.opset_import}
    graph = Graph("decoding", opset=versions.pop(""))
    for name, own in zip((KEYS, VALUES), decoder.cross, strict=True):
        graph.input(name, FLOAT, ("batch", decoder.layers, "time", decoder.state))
        graph.op("Transpose", name, perm=[1, 0, 2, 3], named=own)
    lengths = graph.input(LENGTHS, INT64, ("batch",))
    most = graph.op("Mul", lengths, graph.ints(TOKENS_A_SECOND))
    most = graph.op("Div", most, graph.ints(MEL_FRAMES_A_SECOND))
    graph.op("Min", most, graph.ints(most_tokens(metadata)), named="limits")
    rows = graph.op("Concat", graph.op("Shape", lengths), graph.ints([len(prompt)]), axis=0)
    graph.op("Expand", graph.ints([prompt]), rows, named="prompt")
    graph.op("Identity", graph.floats(np.zeros(int(metadata["n_vocab"]))), named="bias")
    graph.adopt(inner.graph.node, inner.graph.initializer)
    steps = graph.op("Transpose", "tokens", perm=[1, 0])
    said = _first(graph, _size(graph, steps, 1), "counts")
    graph.op("Where", said, steps, graph.ints(_NONE), named=TOKENS)
    graph.give(TOKENS, INT64, ("batch", "steps"))
    return graph.model(domains=versions)


def _lengths(graph: Graph, signature: Signature) -> str:
    """Encoder frames that hold something, out of LENGTHS: these, or feature frames where the encoder does not say."""
    lengths = graph.input(LENGTHS, INT64, ("batch",))
    if signature.lengths_out is not None:
        return lengths
    started = graph.op("Add", lengths, graph.ints(signature.subsampling - 1))
    return graph.op("Div", started, graph.ints(signature.subsampling))


def _places(graph: Graph, lengths: str, time: str, most: int) -> None:
    """What the search takes besides frames: where rows start and end in all of the batch's frames, and its most steps."""
    rows = graph.op("Squeeze", graph.op("Shape", lengths))
    starts = graph.op("Mul", graph.op("Range", graph.ints(0), rows, graph.ints(1)), time, named="starts")
    graph.op("Add", starts, lengths, named="ends")
    last = graph.op("Sub", graph.op("Mul", rows, time), graph.ints(1))
    graph.op("Squeeze", last, named="last")
    longest = graph.op("ReduceMax", lengths, keepdims=0)
    graph.op("Mul", longest, graph.ints(most), named="limit")


def _changed(graph: Graph, best: str) -> str:
    """Where a row's token is another than the frame before had."""
    row = graph.op("Slice", best, *map(graph.ints, ([0], [1], [1])))
    before = graph.op("Slice", best, *map(graph.ints, ([0], [-1], [1])))
    nothing = graph.op("Add", graph.op("Mul", row, graph.ints(0)), graph.ints(_NONE))
    return graph.op("Not", graph.op("Equal", best, graph.op("Concat", nothing, before, axis=1)))


def _first(graph: Graph, size: str, counts: str) -> str:
    """Marks the first `counts`, (batch,), of so many places in each row."""
    places = graph.op("Range", graph.ints(0), graph.op("Squeeze", size), graph.ints(1))
    return graph.op("Less", places, graph.op("Unsqueeze", counts, graph.ints([1])))


def _size(graph: Graph, value: str, axis: int) -> str:
    return graph.op("Gather", graph.op("Shape", value), graph.ints([axis]))
