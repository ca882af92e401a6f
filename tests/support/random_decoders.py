"""Decoders of transducers with random weights, in the layouts that exporters write.

The scales are such that greedy search says much and varied things on random frames: labels alone and several at one frame,
runs of blanks, and every duration of a TDT.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.graphs.builder import FLOAT, INT32, INT64, Graph

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RandomDecoder:
    """icefall's blank is its first token, NeMo's its last."""

    seed: int = 3
    tokens: int = 24
    durations: int = 0
    layers: int = 2
    hidden: int = 16
    encoder: int = 16
    context: int = 2
    blank_bias: float = 4.0
    log_softmax: bool = False
    opset: int = 17

    def frames(self, batch: int, time: int, *, seed: int = 0) -> Floats:
        """Encoder outputs of shape (batch, time, dim)."""
        source = np.random.default_rng((self.seed, seed))
        return source.normal(size=(batch, time, self.encoder)).astype(np.float32)

    def write_stateless(self, decoder: Path, joiner: Path) -> None:
        """icefall's: egs/librispeech/ASR/zipformer/export-onnx.py."""
        graph = Graph("decoder", opset=self.opset)
        labels = graph.input("y", INT64, ("N", self.context))
        known = graph.op("Where", graph.op("Less", labels, graph.ints(0)), graph.ints(0), labels)
        embedded = graph.op("Gather", self._weight(graph, "embedding", self.tokens, self.hidden), known)
        flat = graph.op("Reshape", embedded, graph.ints([-1, self.context * self.hidden]))
        weights = self._weight(graph, "decoder", self.context * self.hidden, self.encoder, scale=0.5)
        graph.output("decoder_out", graph.op("MatMul", flat, weights), FLOAT, ("N", self.encoder))
        graph.save(decoder)
        graph = Graph("joiner", opset=self.opset)
        heard = graph.input("encoder_out", FLOAT, ("N", self.encoder))
        said = graph.input("decoder_out", FLOAT, ("N", self.encoder))
        both = graph.op("Tanh", graph.op("Add", heard, said))
        graph.output("logit", self._logits(graph, both, blank=0), FLOAT, ("N", self.tokens))
        graph.save(joiner)

    def write_recurrent(self, decoder: Path, joiner: Path) -> None:
        """NeMo's as sherpa-onnx's scripts export them, with names given by chance."""
        graph = Graph("decoder", opset=self.opset)
        names = ("states", "162")
        predicted = self._prediction(graph, ("states.1", "onnx::Slice_3"), names)
        graph.output("outputs", predicted, FLOAT, ("batch", self.hidden, "labels"))
        graph.output("prednet_lengths", "target_length", INT32, ("batch",))
        self._give_states(graph, names)
        graph.save(decoder)
        graph = Graph("joiner", opset=self.opset)
        heard = graph.input("encoder_outputs", FLOAT, ("batch", self.encoder, "time"))
        said = graph.input("decoder_outputs", FLOAT, ("batch", self.hidden, "labels"))
        self._joint(graph, heard, said)
        graph.save(joiner)

    def write_fused(self, decoder_joint: Path) -> None:
        """NeMo's as NeMo itself exports them, and as onnx-asr takes them."""
        graph = Graph("decoder_joint", opset=self.opset)
        heard = graph.input("encoder_outputs", FLOAT, ("batch", self.encoder, "time"))
        names = ("output_states_1", "output_states_2")
        said = self._prediction(graph, ("input_states_1", "input_states_2"), names)
        self._joint(graph, heard, said)
        graph.output("prednet_lengths", "target_length", INT32, ("batch",))
        self._give_states(graph, names)
        graph.save(decoder_joint)

    def _prediction(self, graph: Graph, before: tuple[str, str], after: tuple[str, str]) -> str:
        """Labels and states to (batch, hidden, labels); the states after it are values of the names in `after`."""
        targets = graph.input("targets", INT32, ("batch", "labels"))
        graph.input("target_length", INT32, ("batch",))
        states = [graph.input(name, FLOAT, (self.layers, "batch", self.hidden)) for name in before]
        embedded = graph.op("Gather", self._weight(graph, "embedding", self.tokens, self.hidden), targets)
        value = graph.op("Transpose", embedded, perm=[1, 0, 2])
        ends: list[tuple[str, str]] = []
        for layer in range(self.layers):
            own = [
                graph.op("Slice", state, *map(graph.ints, ([layer], [layer + 1], [0]))) for state in states
            ]
            value, *end = graph.ops(
                "LSTM", value, *self._lstm(graph, layer), "", *own, named=3, hidden_size=self.hidden
            )
            value = graph.op("Squeeze", value, graph.ints([1]))
            ends.append((end[0], end[1]))
        for name, parts in zip(after, zip(*ends, strict=True), strict=True):
            graph.op("Concat", *parts, named=f"{name} inside", axis=0)
        return graph.op("Transpose", value, perm=[1, 2, 0])

    def _give_states(self, graph: Graph, names: tuple[str, str]) -> None:
        for name in names:
            graph.output(name, f"{name} inside", FLOAT, (self.layers, "batch", self.hidden))

    def _lstm(self, graph: Graph, layer: int) -> tuple[str, str, str]:
        size = 4 * self.hidden
        return (
            self._weight(graph, f"input {layer}", 1, size, self.hidden, scale=2),
            self._weight(graph, f"recurrence {layer}", 1, size, self.hidden, scale=2),
            self._weight(graph, f"bias {layer}", 1, 2 * size),
        )

    def _joint(self, graph: Graph, heard: str, said: str) -> None:
        """(batch, encoder, time) and (batch, hidden, labels) to (batch, time, labels, outputs)."""
        sides = []
        for name, value, size, axis in (("heard", heard, self.encoder, 2), ("said", said, self.hidden, 1)):
            rows = graph.op("Transpose", value, perm=[0, 2, 1])
            projected = graph.op("MatMul", rows, self._weight(graph, name, size, self.hidden))
            projected = graph.op("Add", projected, self._weight(graph, f"{name} bias", self.hidden))
            sides.append(graph.op("Unsqueeze", projected, graph.ints([axis])))
        logits = self._logits(graph, graph.op("Relu", graph.op("Add", *sides)), blank=self.tokens - 1)
        if self.log_softmax:
            logits = graph.op("LogSoftmax", logits, axis=-1)
        graph.output("outputs", logits, FLOAT, ("batch", "time", "labels", self.tokens + self.durations))

    def _logits(self, graph: Graph, value: str, *, blank: int) -> str:
        size = self.encoder if blank == 0 else self.hidden
        bias = np.zeros(self.tokens + self.durations)
        bias[blank] = self.blank_bias
        weights = self._weight(graph, "output", size, self.tokens + self.durations, scale=3)
        return graph.op("Add", graph.op("MatMul", value, weights), graph.floats(bias))

    def _weight(self, graph: Graph, name: str, *shape: int, scale: float = 1.0) -> str:
        """Normal, divided by the root of what is summed up; the same for the same name."""
        source = np.random.default_rng([self.seed, *name.encode()])
        summed = shape[-1] if name.startswith(("input", "recurrence")) else shape[0]
        deviation = 1.0 if name.startswith(("embedding", "bias")) else scale / np.sqrt(summed)
        return graph.floats(source.normal(size=shape) * deviation)
