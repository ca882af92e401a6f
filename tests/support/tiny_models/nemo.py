"""NeMo's transducers: RNN-T, and TDT, whose joiner also says how many frames a token lasts.

The prediction network is a real LSTM that walks through the phrase: the unit of the next piece fires only where both the
last token and the state that the last step left say that it is its turn. So a decoder that loses the state, updates it
on blank, or feeds another token than the last falls silent. Layouts after sherpa-onnx,
scripts/nemo/fast-conformer-hybrid-transducer-ctc/ and scripts/nemo/parakeet-tdt-0.6b-v2/, down to the exporter's own
names of the states, and after istupakov/parakeet-tdt-0.6b-v3-onnx, where one file holds decoder and joiner.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.graphs.builder import FLOAT, INT32, INT64, Graph
from support.tiny_models.hearing import Ear, pieces
from support.tiny_models.phrase import PIECES, Vocabulary

VOCABULARY = Vocabulary(("<unk>",), PIECES, ("<blk>",))
Matrix = npt.NDArray[np.float64]

HIDDEN = len(PIECES)
STRIDE = 8
THRESHOLD = 0.3

DURATIONS = 5
"""A TDT token lasts 0 to 4 frames."""

_FIRED = float(np.tanh(1))
"""What an LSTM unit gives whose cell is saturated."""


def frames(piece: int) -> int:
    """The duration that the TDT joiner gives to `PIECES[piece]`, in encoder frames of 80 ms; 0 occurs."""
    return piece % DURATIONS


def write(directory: Path, *, tdt: bool = False) -> None:
    """TDT comes with 128 mel bins, which its metadata says, as Parakeet; RNN-T with 80, which only its input says."""
    ear = Ear(128 if tdt else 80, STRIDE, THRESHOLD)
    metadata: dict[str, object] = {
        # NeMo does not count blank.
        "vocab_size": len(VOCABULARY) - 1,
        "normalize_type": "per_feature",
        "pred_rnn_layers": 1,
        "pred_hidden": HIDDEN,
        "subsampling_factor": STRIDE,
        "model_type": "EncDecRNNTBPEModel",
        "version": 2,
        "model_author": "NeMo",
        "comment": "Only the transducer branch is exported",
    }
    if tdt:
        metadata["feat_dim"] = ear.bins
        metadata["url"] = "https://huggingface.co/nvidia/parakeet-tdt-0.6b-v2"
    VOCABULARY.write(directory)
    _encoder(ear).save(directory / "encoder.onnx", metadata)
    _decoder().save(directory / "decoder.onnx")
    _joiner(tdt).save(directory / "joiner.onnx")


def write_onnx_asr(directory: Path, *, tdt: bool = False) -> None:
    """The same models as `write`'s, as onnx-asr's exports: two ONNX files, config.json and vocab.txt."""
    ear = Ear(128 if tdt else 80, STRIDE, THRESHOLD)
    config = {
        "model_type": f"nemo-conformer-{'tdt' if tdt else 'rnnt'}",
        "features_size": ear.bins,
        "subsampling_factor": STRIDE,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    VOCABULARY.write(directory, name="vocab.txt")
    _encoder(ear).save(directory / "encoder-model.onnx")
    _decoder_joint(tdt).save(directory / "decoder_joint-model.onnx")


def _encoder(ear: Ear) -> Graph:
    graph = Graph("encoder")
    features = graph.input("audio_signal", FLOAT, ("batch", ear.bins, "time"))
    lengths = ear.lengths(graph, graph.input("length", INT64, ("batch",)))
    heard = pieces(graph, ear.onsets(graph, features, lengths), HIDDEN)
    channels_first = graph.op("Transpose", heard, perm=[0, 2, 1])
    graph.output("outputs", channels_first, FLOAT, ("batch", HIDDEN, "frames"))
    graph.output("encoded_lengths", lengths, INT64, ("batch",))
    return graph


def _decoder() -> Graph:
    graph = Graph("decoder")
    targets = graph.input("targets", INT32, ("batch", "tokens"))
    lengths = graph.input("target_length", INT32, ("batch",))
    hidden, cell = (graph.input(name, FLOAT, (1, "batch", HIDDEN)) for name in ("states.1", "onnx::LSTM_3"))
    predicted, *states = _predict(graph, targets, hidden, cell)
    graph.output("outputs", predicted, FLOAT, ("batch", HIDDEN, "tokens"))
    graph.output("prednet_lengths", lengths, INT32, ("batch",))
    for name, state in zip(("states", "74"), states, strict=True):
        graph.output(name, state, FLOAT, (1, "batch", HIDDEN))
    return graph


def _predict(graph: Graph, targets: str, hidden: str, cell: str) -> tuple[str, str, str]:
    """[batch, hidden, tokens] from [batch, tokens], and the states after it."""
    embedded = graph.op("Gather", graph.floats(_embedding()), targets)
    weights = [graph.floats(matrix) for matrix in _lstm()]
    steps_first = graph.op("Transpose", embedded, perm=[1, 0, 2])
    states = (graph.named("hidden_next"), graph.named("cell_next"))
    out, hidden_next, cell_next = graph.ops(
        "LSTM",
        *(steps_first, *weights, "", hidden, cell),
        named=(graph.named("out"), *states),
        hidden_size=HIDDEN,
    )
    # From [tokens, 1, batch, hidden].
    out = graph.op("Transpose", graph.op("Squeeze", out, graph.ints([1])), perm=[1, 2, 0])
    return out, hidden_next, cell_next


def _embedding() -> Matrix:
    """A piece looks like the state that it left behind, its own unit fired; blank alone has the last column."""
    table = np.full((len(VOCABULARY), HIDDEN + 1), -_FIRED)
    table[:, -1] = 0
    for piece in range(HIDDEN):
        table[VOCABULARY.piece_id(piece), piece] = _FIRED
    table[VOCABULARY.id("<blk>"), -1] = 1
    return table


def _lstm() -> tuple[Matrix, Matrix, Matrix]:
    """W [1, 4H, H + 1], R [1, 4H, H] and B [1, 8H], gates in ONNX's order: input, output, forget, cell.

    Input and output gates stand open and the forget gate is shut, so a step gives tanh(tanh(cell)). The cell of unit k
    sums what token and state say of unit k - 1, +20 for fired and -20 for not, and a bias of -20 lets only two fired
    ones through. At the start, with a state of zeros, blank's own column fires the first unit.
    """
    shift = np.roll(np.eye(HIDDEN), 1, axis=0) * (20 / _FIRED)
    start = np.eye(HIDDEN, 1) * 50
    closed = np.zeros((3 * HIDDEN, HIDDEN + 1))
    weights = np.concatenate([closed, np.hstack([shift, start])])
    recurrence = np.concatenate([closed[:, :-1], shift])
    gates = np.repeat([10.0, 10.0, -10.0, -20.0], HIDDEN)
    bias = np.concatenate([gates, np.zeros(4 * HIDDEN)])
    return weights[np.newaxis], recurrence[np.newaxis], bias[np.newaxis]


def _joiner(tdt: bool) -> Graph:
    graph = Graph("joiner")
    encoded = graph.input("encoder_outputs", FLOAT, ("batch", HIDDEN, "frames"))
    predicted = graph.input("decoder_outputs", FLOAT, ("batch", HIDDEN, "tokens"))
    _join(graph, encoded, predicted, tdt)
    return graph


def _decoder_joint(tdt: bool) -> Graph:
    graph = Graph("decoder_joint")
    encoded = graph.input("encoder_outputs", FLOAT, ("batch", HIDDEN, "frames"))
    targets = graph.input("targets", INT32, ("batch", "tokens"))
    lengths = graph.input("target_length", INT32, ("batch",))
    states = [graph.input(f"input_states_{number}", FLOAT, (1, "batch", HIDDEN)) for number in (1, 2)]
    predicted, *after = _predict(graph, targets, *states)
    _join(graph, encoded, predicted, tdt)
    graph.output("prednet_lengths", lengths, INT32, ("batch",))
    for number, state in enumerate(after, start=1):
        graph.output(f"output_states_{number}", state, FLOAT, (1, "batch", HIDDEN))
    return graph


def _join(graph: Graph, encoded: str, predicted: str, tdt: bool) -> None:
    """relu(heard + predicted - 1) is 1 where both agree and 0 elsewhere."""
    encoded = _rows(graph, encoded, axis=2)
    predicted = graph.op("Mul", _rows(graph, predicted, axis=1), graph.floats(1 / (2 * _FIRED)))
    both = graph.op("Add", graph.op("Add", encoded, predicted), graph.floats(-0.5))
    agreement = graph.op("Relu", both)
    weights, bias = VOCABULARY.projection(HIDDEN), VOCABULARY.bias("<blk>")
    if tdt:
        weights, bias = np.hstack([weights, _durations()]), np.append(bias, np.eye(DURATIONS)[1])
    logits = graph.op("Add", graph.op("MatMul", agreement, graph.floats(weights)), graph.floats(bias))
    graph.output("outputs", logits, FLOAT, ("batch", "frames", "tokens", len(bias)))


def _durations() -> Matrix:
    """Each piece's own duration; blank's is 1, by the bias."""
    weights = np.zeros((HIDDEN, DURATIONS))
    for piece in range(HIDDEN):
        weights[piece, frames(piece)] = 5
    return weights


def _rows(graph: Graph, value: str, *, axis: int) -> str:
    """[batch, H, n] to [batch, n, 1, H] or [batch, 1, n, H]."""
    return graph.op("Unsqueeze", graph.op("Transpose", value, perm=[0, 2, 1]), graph.ints([axis]))
