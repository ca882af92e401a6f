"""Whisper's decoder as sherpa-onnx's exports write it.

    tokens [N, n], self keys and values [layers, N, context, state] filled up to `offset` [1],
    cross keys and values [layers, N, T, state]
    → logits [N, n, vocabulary], both caches, and of newer exports the alignment heads' weights [N, heads, n, T]

It takes a context shorter than it was exported with, as long as the tokens fit. Reference: k2-fsa/sherpa-onnx,
scripts/whisper/export-onnx-with-attention.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asr_service.engines.ort.graphs.inlining import Model, read

# One scale for a whole batch: a row's numbers depend on its neighbours'.
_DYNAMIC_QUANTIZERS = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul"})


@dataclass(frozen=True)
class Decoder:
    """The graph, and the names of its inputs and outputs: exporters keep their order."""

    model: Model
    layers: int
    state: int
    heads: int
    """Whose attention it gives; 0 where it gives none."""

    @property
    def tokens(self) -> str:
        return self.model.inputs[0].name

    @property
    def caches(self) -> tuple[str, str]:
        return self.model.inputs[1].name, self.model.inputs[2].name

    @property
    def cross(self) -> tuple[str, str]:
        return self.model.inputs[3].name, self.model.inputs[4].name

    @property
    def offset(self) -> str:
        return self.model.inputs[5].name

    @property
    def logits(self) -> str:
        return self.model.outputs[0].name

    @property
    def new_caches(self) -> tuple[str, str]:
        return self.model.outputs[1].name, self.model.outputs[2].name

    @property
    def attention(self) -> str:
        """Only where there are heads."""
        return self.model.outputs[3].name

    @property
    def rows_are_independent(self) -> bool:
        return not any(node.op_type in _DYNAMIC_QUANTIZERS for node in self.model.nodes)


def read_decoder(path: Path, metadata: Mapping[str, str]) -> Decoder:
    """`metadata` are the encoder's, which have passed `asr_service.engines.checks`. Raises ModelUnavailable."""
    (model,) = read(path)
    return Decoder(
        model, int(metadata["n_text_layer"]), int(metadata["n_text_state"]), _heads(model, metadata)
    )


def _heads(model: Model, metadata: Mapping[str, str]) -> int:
    if len(model.outputs) < 4:
        return 0
    declared = model.outputs[3].shape[1]
    return declared if isinstance(declared, int) else int(metadata.get("n_alignment_heads", 0))
