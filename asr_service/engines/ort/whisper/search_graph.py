"""Whisper's greedy search as one ONNX graph: a loop around the model's own decoder, all rows at once.

Rules as in sherpa-onnx (sherpa-onnx/csrc/offline-whisper-greedy-search-decoder.cc): the prompt in one step, then a token
a step, always the likeliest; a row ends at the end token, which is not among its tokens, or at its limit. The last token
goes through the decoder as well, for its attention.

Left to itself, the exported decoder would copy and transpose all of the audio's keys and values in every step, and caches of
the full text context. Here the audio's part is computed before the loop, and the caches grow with the tokens.
"""

from dataclasses import dataclass

import onnx

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT64, Graph
from asr_service.engines.ort.whisper.alignment import Attention, add_costs
from asr_service.engines.ort.whisper.decoder import Decoder
from asr_service.engines.ort.whisper.hoisting import Parts, hoist

# A trip count beyond all limits: the condition ends the loop.
_ENDLESS = 2**31


def search_graph(decoder: Decoder, end: int) -> onnx.ModelProto:
    """Inputs: the audio's keys and values under the decoder's names;

    - prompt [N, n] int64, the same length for all rows; limits [N] int64, the most tokens of each;
    - bias [vocabulary], added to all logits;
    - frames [N] int64 and mirror [N, M + 6] int64, where the decoder gives attention: see `alignment`.

    Outputs: tokens [steps, N] int64 and log_probs [steps, N], of which the first `counts` [N] are a row's; costs
    [N, M, steps] where the decoder gives attention.
    """
    graph = Graph("search", opset=decoder.model.opset)
    for name in decoder.cross:
        graph.input(name, FLOAT, (decoder.layers, "N", "T", decoder.state))
    prompt = graph.input("prompt", INT64, ("N", "n"))
    graph.input("limits", INT64, ("N",))
    graph.input("bias", FLOAT, ("V",))
    parts = hoist(decoder.model, decoder.cross, (decoder.tokens, *decoder.caches, decoder.offset))
    graph.adopt(parts.before, parts.before_weights)
    found = _loop(graph, decoder, parts, prompt, end)
    counts = graph.op("ReduceSum", graph.cast(found.emitted, INT64), graph.ints([0]), keepdims=0)
    graph.output("tokens", found.tokens, INT64, ("steps", "N"))
    graph.output("log_probs", found.log_probs, FLOAT, ("steps", "N"))
    graph.output("counts", counts, INT64, ("N",))
    if decoder.heads:
        frames, mirror = graph.input("frames", INT64, ("N",)), graph.input("mirror", INT64, ("N", "places"))
        attention = Attention(found.prompt_attention, found.attention, counts, frames, mirror)
        graph.output("costs", add_costs(graph, attention), FLOAT, ("N", "M", "steps"))
    return graph.model(domains=decoder.model.domains)


@dataclass(frozen=True)
class _Found:
    """Names of the loop's results; those of the steps have the steps first."""

    tokens: str
    log_probs: str
    emitted: str
    prompt_attention: str
    attention: str


def _loop(graph: Graph, decoder: Decoder, parts: Parts, prompt: str, end: int) -> _Found:
    rows = graph.op("Gather", graph.op("Shape", prompt), graph.ints([0]))
    empty = graph.op("Concat", graph.ints([decoder.layers]), rows, graph.ints([0, decoder.state]), axis=0)
    cache = graph.op("ConstantOfShape", empty)
    states = [prompt, cache, cache, graph.op("Expand", graph.bools(True), rows)]
    if decoder.heads:
        frames = graph.op("Gather", graph.op("Shape", decoder.cross[0]), graph.ints([2]))
        none = graph.op("Concat", rows, graph.ints([decoder.heads, 0]), frames, axis=0)
        states.append(graph.op("ConstantOfShape", none))
    body = _step(graph, decoder, parts, end)
    scans = 4 if decoder.heads else 3
    values = graph.ops(
        "Loop",
        graph.ints(_ENDLESS),
        graph.bools(True),
        *states,
        named=len(states) + scans,
        body=body.proto(),
    )
    heard, attention = (values[4], values[8]) if decoder.heads else ("", "")
    tokens, log_probs, emitted = values[len(states) : len(states) + 3]
    return _Found(tokens, log_probs, emitted, heard, attention)


def _step(around: Graph, decoder: Decoder, parts: Parts, end: int) -> Graph:
    graph = around.inner("step")
    step = graph.input("step", INT64, ())
    graph.input("any open", BOOL, ())
    tokens = graph.input(decoder.tokens, INT64)
    past = [graph.input(f"past {name}", FLOAT) for name in decoder.caches]
    is_open = graph.input("open", BOOL)
    _grow(graph, decoder, tokens, past)
    graph.adopt(parts.inside, parts.inside_weights)
    best, log_prob = _likeliest(graph, decoder.logits)
    token = graph.ints(end)
    going = graph.op("Not", graph.op("Equal", best, token))
    emitted = graph.op("And", graph.op("And", is_open, going), graph.op("Less", step, "limits"))
    following = graph.op("Unsqueeze", graph.op("Where", emitted, best, token), graph.ints([1]))
    graph.give(_any(graph, emitted), BOOL)
    graph.give(following, INT64)
    for name in decoder.new_caches:
        graph.give(name, FLOAT)
    graph.give(emitted, BOOL)
    if decoder.heads:
        _remember(graph, decoder.attention)
    graph.give(best, INT64)
    graph.give(log_prob, FLOAT)
    graph.output("emitted", emitted, BOOL)
    if decoder.heads:
        graph.give(graph.op("Gather", decoder.attention, graph.ints(-1), axis=2), FLOAT)
    return graph


def _grow(graph: Graph, decoder: Decoder, tokens: str, past: list[str]) -> None:
    """Room in the caches for the new tokens, behind those so far."""
    rows_and_tokens = graph.op("Shape", tokens)
    rows, count = (graph.op("Gather", rows_and_tokens, graph.ints([axis])) for axis in (0, 1))
    size = graph.op("Concat", graph.ints([decoder.layers]), rows, count, graph.ints([decoder.state]), axis=0)
    room = graph.op("ConstantOfShape", size)
    for cache, name in zip(past, decoder.caches, strict=True):
        graph.op("Concat", cache, room, axis=2, named=name)
    graph.op("Gather", graph.op("Shape", past[0]), graph.ints([2]), named=decoder.offset)


def _likeliest(graph: Graph, logits: str) -> tuple[str, str]:
    """The token that follows the last one, and its log-probability; both [N]."""
    last = graph.op("Add", graph.op("Gather", logits, graph.ints(-1), axis=1), "bias")
    highest, best = graph.greatest(last, axis=-1)
    odds = graph.op("Exp", graph.op("Sub", last, highest))
    total = graph.op("ReduceSum", odds, graph.ints([-1]), keepdims=0)
    return graph.op("Squeeze", best, graph.ints([1])), graph.op("Neg", graph.op("Log", total))


def _any(graph: Graph, flags: str) -> str:
    count = graph.op("ReduceSum", graph.cast(flags, FLOAT), keepdims=0)
    return graph.cast(count, BOOL)


def _remember(graph: Graph, attention: str) -> None:
    """Adds the attention of all tokens but the last to what is carried on: none after the prompt's step."""
    heard = graph.input("heard", FLOAT)
    before = graph.op("Slice", attention, graph.ints([0]), graph.ints([-1]), graph.ints([2]))
    graph.give(graph.op("Concat", heard, before, axis=2), FLOAT)
