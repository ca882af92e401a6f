"""Moonshine, which listens to samples instead of features: four files of the first generation, two of the second.

The encoder marks each frame with the number of the burst that begins there; the decoder asks by attention for the burst
of its own position, says its piece if somebody answers, and ends the text otherwise. Layouts after
sherpa-onnx, scripts/moonshine/test.py and scripts/moonshine/v2/test.py.
"""

from pathlib import Path

import numpy as np
import onnx

from asr_service.engines.ort.graphs.builder import BOOL, FLOAT, INT32, INT64, Graph
from support.tiny_models.hearing import Ear, one_hot, pieces
from support.tiny_models.ort_format import convert
from support.tiny_models.phrase import PIECES, Vocabulary

VOCABULARY = Vocabulary(("<unk>", "<s>", "</s>"), PIECES)
SLOTS = 4 * len(PIECES)
"""Width of the model; the burst after so many has the first one's number again."""

FRAME = 384
"""Samples a frame; sherpa-onnx derives the longest text from it."""

_STATE = ("N", "past", 1, SLOTS)
_EAR = Ear(bins=1, stride=1, threshold=1e-4)


def write(directory: Path) -> None:
    """First generation: the position is an input, and the decoder comes twice."""
    VOCABULARY.write(directory)
    _preprocessor().save(directory / "preprocess.onnx")
    _encoder().save(directory / "encode.onnx")
    _decoder(cached=False).save(directory / "uncached_decode.onnx")
    _decoder(cached=True).save(directory / "cached_decode.onnx")


def write_merged(directory: Path) -> None:
    """Second generation: one encoder and one decoder with a branch, in ONNX Runtime's own format."""
    VOCABULARY.write(directory, encode=True)
    convert(_whole_encoder(), directory / "encoder_model.ort")
    convert(_merged_decoder(), directory / "decoder_model_merged.ort")


def _preprocessor() -> Graph:
    graph = Graph("preprocess")
    audio = graph.input("args_0", FLOAT, (1, "samples"))
    graph.output("sequential", _power(graph, audio), FLOAT, (1, "frames", 1))
    return graph


def _encoder() -> Graph:
    graph = Graph("encode")
    features = graph.input("args_0", FLOAT, (1, "frames", 1))
    lengths = graph.cast(graph.input("args_1", INT32, (1,)), INT64)
    graph.output("layer_normalization", _mark(graph, features, lengths), FLOAT, (1, "frames", SLOTS))
    return graph


def _decoder(*, cached: bool) -> Graph:
    graph = Graph("cached_decode" if cached else "uncached_decode")
    token = graph.input("args_0", INT32, (1, 1))
    encoded = graph.input("args_1", FLOAT, (1, "frames", SLOTS))
    length = graph.input("args_2", INT32, (1,))
    position = graph.op("Sub", graph.cast(length, INT64), graph.ints(1))
    own = _embed(graph, token, axes=[2])
    # [1, frames, 1 head, slots]
    memory = graph.op("Unsqueeze", encoded, graph.ints([2]))
    states = [own, own, memory, memory]
    if cached:
        past = [graph.input(f"args_{number}", FLOAT, _STATE) for number in range(3, 7)]
        states = [graph.op("Concat", state, own, axis=1) for state in past[:2]] + past[2:]
    memory = graph.op("Squeeze", states[2], graph.ints([2]))
    graph.output("reversible_embedding", _answer(graph, memory, position), FLOAT, (1, 1, len(VOCABULARY)))
    for number, state in enumerate(states):
        graph.output(f"state_{number}", state, FLOAT, _STATE)
    return graph


def _whole_encoder() -> Graph:
    graph = Graph("encoder_model")
    audio = graph.input("input_values", FLOAT, (1, "samples"))
    graph.output("last_hidden_state", _mark(graph, _power(graph, audio)), FLOAT, (1, "frames", SLOTS))
    return graph


def _merged_decoder() -> Graph:
    """The position is how many tokens the decoder's own cache holds; the encoder's is filled in the first step."""
    graph = Graph("decoder_model_merged")
    token = graph.input("input_ids", INT64, (1, 1))
    encoded = graph.input("encoder_hidden_states", FLOAT, (1, "frames", SLOTS))
    names = [f"0.{side}.{part}" for side in ("decoder", "encoder") for part in ("key", "value")]
    state = ("batch", 1, "past", SLOTS)
    past = [graph.input(f"past_key_values.{name}", FLOAT, state) for name in names]
    use_cache = graph.input("use_cache_branch", BOOL, (1,))
    position = graph.op("Shape", past[0], start=2, end=3)
    own = _embed(graph, token, axes=[1])
    fresh = graph.op("Unsqueeze", encoded, graph.ints([1]))
    memories = [_branch(graph, use_cache, then=cache, otherwise=fresh) for cache in past[2:]]
    memory = graph.op("Squeeze", memories[0], graph.ints([1]))
    graph.output("logits", _answer(graph, memory, position), FLOAT, (1, 1, len(VOCABULARY)))
    own_states = [graph.op("Concat", cache, own, axis=2) for cache in past[:2]]
    for name, value in zip(names, own_states + memories, strict=True):
        graph.output(f"present.{name}", value, FLOAT, state)
    return graph


def _power(graph: Graph, audio: str) -> str:
    """[1, samples] to the mean power of each frame, [1, frames, 1], by three strided convolutions as in the original."""
    power = graph.op("Unsqueeze", graph.op("Mul", audio, audio), graph.ints([1]))
    for stride in (64, 3, 2):
        mean = graph.floats(np.full((1, 1, stride), 1 / stride))
        power = graph.op("Conv", power, mean, strides=[stride], pads=[0, stride - 1])
    return graph.op("Transpose", power, perm=[0, 2, 1])


def _mark(graph: Graph, power: str, lengths: str | None = None) -> str:
    onsets = _EAR.onsets(graph, graph.op("Transpose", power, perm=[0, 2, 1]), lengths)
    return pieces(graph, onsets, SLOTS)


def _embed(graph: Graph, token: str, *, axes: list[int]) -> str:
    """[1, 1] token ids to [1, 1, 1, slots]; any table will do, nothing looks at it."""
    table = np.random.default_rng(0).normal(size=(len(VOCABULARY), SLOTS))
    return graph.op("Unsqueeze", graph.op("Gather", graph.floats(table), token), graph.ints(axes))


def _answer(graph: Graph, memory: str, position: str) -> str:
    """Attention over [1, frames, slots] with the one-hot of `position` [1] as query; logits [1, 1, vocabulary]."""
    query = graph.op("Unsqueeze", one_hot(graph, position, SLOTS), graph.ints([1]))
    scores = graph.op("MatMul", query, graph.op("Transpose", memory, perm=[0, 2, 1]))
    weights = graph.op("Softmax", graph.op("Mul", scores, graph.floats(50)), axis=-1)
    found = graph.op("Mul", graph.op("MatMul", weights, memory), query)
    logits = graph.op("MatMul", found, graph.floats(VOCABULARY.projection(SLOTS)))
    return graph.op("Add", logits, graph.floats(VOCABULARY.bias("</s>")))


def _branch(graph: Graph, condition: str, *, then: str, otherwise: str) -> str:
    chosen = (_alone(graph.named("then"), then), _alone(graph.named("else"), otherwise))
    return graph.op("If", condition, then_branch=chosen[0], else_branch=chosen[1])


def _alone(name: str, value: str) -> onnx.GraphProto:
    """A graph that gives a value of the graph around it."""
    branch = Graph(name)
    branch.output(f"{name}/value", value, FLOAT, ("batch", 1, "past", SLOTS))
    return branch.proto()
