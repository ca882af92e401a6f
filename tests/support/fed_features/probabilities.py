"""Transducers whose tokens' probabilities are the features, all of them and to about a millionth of their range."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sherpa_onnx

from asr_service.engines.ort.graphs.builder import FLOAT, INT32, INT64, Graph
from support.fed_features.sherpa import Bounds, Samples, Values, recognized, write_tokens

RIVALS = 16
"""Tokens of logit 0. Against so many, the probabilities of logits from 1 to 7 lie well apart."""

VALUE = "value"
"""The token that is emitted at every frame."""


def transducer(samples: Samples, bounds: Bounds, directory: Path) -> Values:
    """All features of an icefall transducer, shape (frames, 80)."""
    # sherpa-onnx takes <unk> for blank.
    write_tokens(directory, ["<blk>", "<unk>", VALUE, *map(str, range(RIVALS - 2))])
    _encoder(bounds).save(directory / "encoder.onnx", {"model_type": "zipformer2"})
    _decoder().save(directory / "decoder.onnx", {"context_size": 1, "vocab_size": RIVALS + 1})
    _joiner().save(directory / "joiner.onnx", {"joiner_dim": 1})
    result = recognized(sherpa_onnx.OfflineRecognizer.from_transducer, directory, samples)
    return _values(result.ys_log_probs, bounds).reshape(-1, 80)


def nemo_transducer(
    samples: Samples, bounds: Bounds, directory: Path, *, bins: int, normalize: str
) -> Values:
    """All features of a NeMo TDT model, shape (frames, bins)."""
    write_tokens(directory, [VALUE, *map(str, range(RIVALS - 1)), "<blk>"])
    _nemo_encoder(bounds, bins).save(directory / "encoder.onnx", _nemo_metadata(bins, normalize))
    _nemo_decoder().save(directory / "decoder.onnx")
    _nemo_joiner().save(directory / "joiner.onnx")
    factory = sherpa_onnx.OfflineRecognizer.from_transducer
    result = recognized(factory, directory, samples, model_type="nemo_transducer")
    return _values(result.ys_log_probs, bounds).reshape(-1, bins)


def _logits(graph: Graph, features: str, bounds: Bounds) -> str:
    scale = 3 / bounds.width
    return graph.op(
        "Add", graph.op("Mul", features, graph.floats(scale)), graph.floats(0.5 - bounds.low * scale)
    )


def _values(log_probs: Sequence[float], bounds: Bounds) -> Values:
    probabilities = np.exp(np.asarray(log_probs, np.float64))
    logits = np.log(probabilities * RIVALS / (1 - probabilities))
    return bounds.low + (logits - 0.5) * bounds.width / 3


def _encoder(bounds: Bounds) -> Graph:
    graph = Graph("encoder")
    logits = _logits(graph, graph.input("x", FLOAT, ("N", "T", 80)), bounds)
    frames = graph.op("Reshape", logits, graph.ints([0, -1, 1]))
    graph.output("encoder_out", frames, FLOAT, ("N", "frames", 1))
    lengths = graph.op("Mul", graph.input("x_lens", INT64, ("N",)), graph.ints(80))
    graph.output("encoder_out_lens", lengths, INT64, ("N",))
    return graph


def _decoder() -> Graph:
    graph = Graph("decoder")
    tokens = graph.cast(graph.input("y", INT64, ("N", 1)), FLOAT)
    graph.output("decoder_out", graph.op("Mul", tokens, graph.floats(0)), FLOAT, ("N", 1))
    return graph


def _joiner() -> Graph:
    graph = Graph("joiner")
    inputs = [graph.input(name, FLOAT, ("N", 1)) for name in ("encoder_out", "decoder_out")]
    place = graph.floats(np.eye(1, RIVALS + 1, 2))
    graph.output("logit", graph.op("MatMul", graph.op("Add", *inputs), place), FLOAT, ("N", RIVALS + 1))
    return graph


def _nemo_metadata(bins: int, normalize: str) -> dict[str, object]:
    return {
        # Blank is not counted.
        "vocab_size": RIVALS,
        "normalize_type": normalize,
        "pred_rnn_layers": 1,
        "pred_hidden": 1,
        "subsampling_factor": 1,
        "feat_dim": bins,
        "url": "tdt",
    }


def _nemo_encoder(bounds: Bounds, bins: int) -> Graph:
    graph = Graph("encoder")
    features = graph.input("audio_signal", FLOAT, ("batch", bins, "time"))
    logits = _logits(graph, graph.op("Transpose", features, perm=[0, 2, 1]), bounds)
    frames = graph.op("Reshape", logits, graph.ints([0, 1, -1]))
    graph.output("outputs", frames, FLOAT, ("batch", 1, "frames"))
    lengths = graph.op("Mul", graph.input("length", INT64, ("batch",)), graph.ints(bins))
    graph.output("encoded_lengths", lengths, INT64, ("batch",))
    return graph


def _nemo_decoder() -> Graph:
    graph = Graph("decoder")
    targets = graph.cast(graph.input("targets", INT32, ("batch", "tokens")), FLOAT)
    lengths = graph.input("target_length", INT32, ("batch",))
    states = [graph.input(name, FLOAT, (1, "batch", 1)) for name in ("h", "c")]
    zeros = graph.op("Mul", graph.op("Unsqueeze", targets, graph.ints([1])), graph.floats(0))
    graph.output("outputs", zeros, FLOAT, ("batch", 1, "tokens"))
    graph.output("prednet_lengths", lengths, INT32, ("batch",))
    for state in states:
        graph.output(f"{state}_next", state, FLOAT, (1, "batch", 1))
    return graph


def _nemo_joiner() -> Graph:
    """Behind the tokens two durations, 0 and 1, of which 1 always wins: each frame emits its token once."""
    graph = Graph("joiner")
    names = ("encoder_outputs", "decoder_outputs")
    inputs = [graph.input(name, FLOAT, ("batch", 1, 1)) for name in names]
    size = RIVALS + 1 + 2
    row = graph.op("MatMul", graph.op("Add", *inputs), graph.floats(np.eye(1, size)))
    logits = graph.op("Add", row, graph.floats(np.eye(1, size, size - 1)))
    graph.output("outputs", graph.op("Unsqueeze", logits, graph.ints([1])), FLOAT, ("batch", 1, 1, size))
    return graph
