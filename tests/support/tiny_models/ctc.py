"""CTC models of NeMo and of icefall: at each burst's first frame a piece, otherwise blank.

Layouts after sherpa-onnx, scripts/nemo/fast-conformer-hybrid-transducer-ctc/export-onnx-ctc-non-streaming.py, icefall,
egs/librispeech/ASR/zipformer/export-onnx-ctc.py, and istupakov/parakeet-ctc-0.6b-onnx.
"""

import json
from pathlib import Path

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph
from support.tiny_models.hearing import Ear, pieces
from support.tiny_models.phrase import PIECES, Vocabulary

NEMO_VOCABULARY = Vocabulary(("<unk>",), PIECES, ("<blk>",))
NEMO_EAR = Ear(bins=80, stride=8, threshold=0.3)
"""NeMo's features are normalised: zero mean and unit variance an utterance and bin."""

ZIPFORMER_VOCABULARY = Vocabulary(("<blk>", "<sos/eos>", "<unk>"), PIECES)
ZIPFORMER_EAR = Ear(bins=80, stride=4, threshold=-6.0)
"""Logarithms of mel energies of samples in [-1, 1): silence is -16."""


def write_nemo(directory: Path) -> None:
    metadata = {
        # NeMo does not count blank.
        "vocab_size": len(NEMO_VOCABULARY) - 1,
        "normalize_type": "per_feature",
        "subsampling_factor": NEMO_EAR.stride,
        "model_type": "EncDecHybridRNNTCTCBPEModel",
        "version": 1,
        "model_author": "NeMo",
    }
    NEMO_VOCABULARY.write(directory)
    _nemo().save(directory / "model.onnx", metadata)


def write_onnx_asr(directory: Path) -> None:
    """The same model as `write_nemo`'s, as onnx-asr's exports."""
    config = {
        "model_type": "nemo-conformer-ctc",
        "features_size": NEMO_EAR.bins,
        "subsampling_factor": NEMO_EAR.stride,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    NEMO_VOCABULARY.write(directory, name="vocab.txt")
    _nemo().save(directory / "model.onnx")


def _nemo() -> Graph:
    graph = Graph("model")
    features = graph.input("audio_signal", FLOAT, ("batch", NEMO_EAR.bins, "time"))
    lengths = NEMO_EAR.lengths(graph, graph.input("length", INT64, ("batch",)))
    log_probs = _log_probs(graph, NEMO_EAR.onsets(graph, features, lengths), NEMO_VOCABULARY)
    graph.output("logprobs", log_probs, FLOAT, ("batch", "frames", len(NEMO_VOCABULARY)))
    return graph


def write_zipformer(directory: Path) -> None:
    graph = Graph("model")
    features = graph.input("x", FLOAT, ("N", "T", ZIPFORMER_EAR.bins))
    lengths = ZIPFORMER_EAR.lengths(graph, graph.input("x_lens", INT64, ("N",)))
    channels_first = graph.op("Transpose", features, perm=[0, 2, 1])
    onsets = ZIPFORMER_EAR.onsets(graph, channels_first, lengths)
    log_probs = _log_probs(graph, onsets, ZIPFORMER_VOCABULARY)
    graph.output("log_probs", log_probs, FLOAT, ("N", "frames", len(ZIPFORMER_VOCABULARY)))
    graph.output("log_probs_len", lengths, INT64, ("N",))
    ZIPFORMER_VOCABULARY.write(directory)
    graph.save(
        directory / "model.onnx", {"model_type": "zipformer2_ctc", "version": 1, "model_author": "k2-fsa"}
    )


def _log_probs(graph: Graph, onsets: str, vocabulary: Vocabulary) -> str:
    """Without an onset blank's bias alone speaks."""
    heard = pieces(graph, onsets, len(PIECES))
    logits = graph.op("MatMul", heard, graph.floats(vocabulary.projection(len(PIECES))))
    logits = graph.op("Add", logits, graph.floats(vocabulary.bias("<blk>")))
    return graph.op("LogSoftmax", logits, axis=-1)
