"""The transducer that icefall exports: Zipformer or Conformer encoder, stateless decoder, joiner.

The encoder names the piece that it hears, the decoder the piece that follows its last token, and the joiner's hidden
units fire where the two agree. Layout after icefall, egs/librispeech/ASR/zipformer/export-onnx.py.
"""

from pathlib import Path

import numpy as np

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from support.tiny_models.hearing import Ear, pieces
from support.tiny_models.phrase import PIECES, Vocabulary

VOCABULARY = Vocabulary(("<blk>", "<sos/eos>", "<unk>"), PIECES)
EAR = Ear(bins=80, stride=4, threshold=-6.0)
JOINER_DIM = len(PIECES)
CONTEXT = 2


def write(directory: Path) -> None:
    VOCABULARY.write(directory)
    about = {"model_type": "zipformer2", "version": 1, "model_author": "k2-fsa"}
    _encoder().save(directory / "encoder-epoch-99-avg-1.onnx", about)
    sizes = {"context_size": CONTEXT, "vocab_size": len(VOCABULARY)}
    _decoder().save(directory / "decoder-epoch-99-avg-1.onnx", sizes)
    _joiner().save(directory / "joiner-epoch-99-avg-1.onnx", {"joiner_dim": JOINER_DIM})


def _encoder() -> Graph:
    graph = Graph("encoder")
    features = graph.input("x", FLOAT, ("N", "T", EAR.bins))
    lengths = EAR.lengths(graph, graph.input("x_lens", INT64, ("N",)))
    heard = pieces(graph, EAR.onsets(graph, _channels_first(graph, features), lengths), JOINER_DIM)
    graph.output("encoder_out", graph.op("Mul", heard, graph.floats(12)), FLOAT, ("N", "frames", JOINER_DIM))
    graph.output("encoder_out_lens", lengths, INT64, ("N",))
    return graph


def _decoder() -> Graph:
    """After a piece its successor: -6 there, -18 elsewhere, so that the joiner's sum is ±6 or less."""
    graph = Graph("decoder")
    tokens = graph.input("y", INT64, ("N", CONTEXT))
    last = graph.op("Gather", tokens, graph.ints(CONTEXT - 1), axis=1)
    successors = np.full((len(VOCABULARY), JOINER_DIM), -18.0)
    successors[: len(VOCABULARY.before), 0] = -6
    for piece in range(len(PIECES)):
        successors[VOCABULARY.piece_id(piece), (piece + 1) % len(PIECES)] = -6
    graph.output("decoder_out", graph.op("Gather", graph.floats(successors), last), FLOAT, ("N", JOINER_DIM))
    return graph


def _joiner() -> Graph:
    """tanh makes ±1 of agreement and disagreement; half of each weight goes to the bias, so that -1 means logit 0."""
    graph = Graph("joiner")
    encoded = graph.input("encoder_out", FLOAT, ("N", JOINER_DIM))
    predicted = graph.input("decoder_out", FLOAT, ("N", JOINER_DIM))
    agreement = graph.op("Tanh", graph.op("Add", encoded, predicted))
    weights = VOCABULARY.projection(JOINER_DIM) / 2
    bias = weights.sum(axis=0) + VOCABULARY.bias("<blk>")
    logit = graph.op("Gemm", agreement, graph.floats(weights), graph.floats(bias))
    graph.output("logit", logit, FLOAT, ("N", len(VOCABULARY)))
    return graph


def _channels_first(graph: Graph, features: str) -> str:
    return graph.op("Transpose", features, perm=[0, 2, 1])
