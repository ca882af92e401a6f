"""CTC models and a Whisper whose tokens' numbers are features: some of them, rounded to one of many steps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from support.fed_features.sherpa import Bounds, Samples, Values, recognized, write_tokens
from support.tiny_models.hearing import one_hot, steps

STEPS = 1 << 14
"""How many values a token's number tells apart."""

END, CONTEXT = STEPS + 1, 448
"""Whisper's token at the end of a text, and how many tokens it remembers."""

PROMPT = 2
"""Tokens before Whisper's first own: sot and no_timestamps."""


def nemo_ctc(samples: Samples, bounds: Bounds, directory: Path, *, band: int, normalize: str) -> Values:
    """One of 80 bands of a NeMo CTC model, shape (frames,)."""
    graph = Graph("model")
    features = graph.input("audio_signal", FLOAT, ("batch", 80, "time"))
    graph.input("length", INT64, ("batch",))
    column = graph.op("Gather", features, graph.ints(band), axis=1)
    graph.output("logprobs", _spelled(graph, column, bounds), FLOAT, ("batch", "time", 2 * STEPS + 1))
    metadata = {
        "vocab_size": 2 * STEPS,
        "normalize_type": normalize,
        "subsampling_factor": 1,
        "model_type": "EncDecCTCModelBPE",
    }
    return _ctc(graph, metadata, samples, bounds, directory, sherpa_onnx.OfflineRecognizer.from_nemo_ctc)


def zipformer_ctc(samples: Samples, bounds: Bounds, directory: Path, *, band: int) -> Values:
    """One of 80 bands of icefall's Zipformer CTC, shape (frames,)."""
    graph = Graph("model")
    features = graph.input("x", FLOAT, ("N", "T", 80))
    lengths = graph.input("x_lens", INT64, ("N",))
    column = graph.op("Gather", features, graph.ints(band), axis=2)
    graph.output("log_probs", _spelled(graph, column, bounds), FLOAT, ("N", "T", 2 * STEPS + 1))
    graph.output("log_probs_len", lengths, INT64, ("N",))
    metadata = {"model_type": "zipformer2_ctc"}
    return _ctc(graph, metadata, samples, bounds, directory, sherpa_onnx.OfflineRecognizer.from_zipformer_ctc)


def whisper(
    samples: Samples, bounds: Bounds, directory: Path, *, places: Sequence[tuple[int, int]], bins: int
) -> tuple[int, Values]:
    """How many frames Whisper's encoder gets, and its features at places (frame, bin) of them.

    sherpa-onnx wants no more than six tokens a second of audio; places beyond those go unread.
    """
    write_tokens(directory, [str(number) for number in range(STEPS)], encode=True)
    _whisper_encoder(bins, bounds, places).save(directory / "encoder.onnx", _whisper_metadata(bins))
    _whisper_decoder().save(directory / "decoder.onnx")
    result = recognized(sherpa_onnx.OfflineRecognizer.from_whisper, directory, samples)
    frames, *numbers = map(int, result.tokens)
    return frames, _values(numbers, bounds)


def _ctc(
    graph: Graph,
    metadata: Mapping[str, object],
    samples: Samples,
    bounds: Bounds,
    directory: Path,
    factory: Callable[..., Any],
) -> Values:
    """The number of a value has two tokens, of which frames take the one and the other in turn: CTC joins equal ones."""
    write_tokens(directory, ["<blk>", *map(str, range(2 * STEPS))])
    graph.save(directory / "model.onnx", metadata)
    numbers = [int(token) % STEPS for token in recognized(factory, directory, samples).tokens]
    return _values(numbers, bounds)


def _spelled(graph: Graph, values: str, bounds: Bounds) -> str:
    """[1, T] features to [1, T, 2 * STEPS + 1] floats: 1 for the token that stands for the value, else 0."""
    turn = graph.op("Mod", steps(graph, values, 1), graph.ints(2))
    tokens = graph.op("Add", _number(graph, values, bounds), graph.op("Mul", turn, graph.ints(STEPS)))
    return one_hot(graph, graph.op("Add", tokens, graph.ints(1)), 2 * STEPS + 1)


def _number(graph: Graph, values: str, bounds: Bounds) -> str:
    scale = (STEPS - 1) / bounds.width
    scaled = graph.op("Mul", graph.op("Sub", values, graph.floats(bounds.low)), graph.floats(scale))
    return graph.cast(graph.op("Round", scaled), INT64)


def _values(numbers: Sequence[int], bounds: Bounds) -> Values:
    return bounds.low + np.asarray(numbers) * (bounds.width / (STEPS - 1))


def _whisper_metadata(bins: int) -> dict[str, object]:
    special = {"sot": STEPS, "eot": END, "no_timestamps": STEPS + 2, "sot_sequence": STEPS}
    unused = ("blank_id", "translate", "transcribe", "no_speech", "is_multilingual")
    return {
        "n_mels": bins,
        "n_text_layer": 1,
        "n_text_ctx": CONTEXT,
        "n_text_state": 1,
        "n_vocab": END + 2,
        **special,
        **dict.fromkeys(unused, 0),
    }


def _whisper_encoder(bins: int, bounds: Bounds, places: Sequence[tuple[int, int]]) -> Graph:
    """Its keys are the tokens to say: the number of frames, and the values at the places."""
    graph = Graph("encoder")
    mel = graph.input("mel", FLOAT, (1, bins, "T"))
    rows = graph.op("Squeeze", graph.op("Transpose", mel, perm=[2, 1, 0]), graph.ints([2]))
    values = graph.op("GatherND", rows, graph.ints(places))
    tokens = graph.op("Concat", graph.op("Shape", mel, start=2), _number(graph, values, bounds), axis=0)
    keys = graph.op("Reshape", graph.cast(tokens, FLOAT), graph.ints([1, 1, -1, 1]))
    for name in ("n_layer_cross_k", "n_layer_cross_v"):
        graph.output(name, keys, FLOAT, (1, 1, len(places) + 1, 1))
    return graph


def _whisper_decoder() -> Graph:
    """Behind the prompt it says the keys one after the other, and then that the text ends."""
    graph = Graph("decoder")
    tokens = graph.input("tokens", INT64, (1, "n_tokens"))
    names = [f"n_layer_self_{part}_cache" for part in "kv"]
    caches = [graph.input(f"in_{name}", FLOAT, (1, 1, CONTEXT, 1)) for name in names]
    keys, values = (graph.input(f"n_layer_cross_{part}", FLOAT, (1, 1, "T", 1)) for part in "kv")
    # Read as well, or the graph would be simplified and take one input less.
    said = graph.cast(graph.op("Reshape", graph.op("Max", keys, values), graph.ints([-1])), INT64)
    said = graph.op("Concat", said, graph.ints([END]), axis=0)
    offset = graph.input("offset", INT64, (1,))
    position = graph.op("Add", graph.op("Sub", offset, graph.ints(PROMPT - 1)), steps(graph, tokens, 1))
    # Within the prompt any will do.
    chosen = graph.op("Gather", said, graph.op("Max", position, graph.ints(0)))
    logits = graph.op("Unsqueeze", one_hot(graph, chosen, END + 1), graph.ints([0]))
    graph.output("logits", logits, FLOAT, (1, "n_tokens", END + 1))
    for name, cache in zip(names, caches, strict=True):
        graph.output(f"out_{name}", cache, FLOAT, (1, 1, CONTEXT, 1))
    return graph
