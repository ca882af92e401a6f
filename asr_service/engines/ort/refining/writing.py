"""Reads an encoder, folds what is constant, applies the rules, writes it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from asr_service.engines.ort.refining.network import Network, is_nested
from asr_service.engines.ort.refining.rules import RULES

_ONNX = ""
# Protobuf takes no message of 2 GB, and the TensorRT provider hands the whole graph over as one, weights beside the file
# included. What is left is for the graph itself.
MOST_BYTES = 1_900_000_000
# Smaller constants are not worth a node.
_LARGE_ELEMENTS = 1 << 16


def refine(source: Path, target: Path, *, may_round: bool, most_bytes: int = MOST_BYTES) -> list[str]:
    """Writes the encoder at `source` to `target`, and gives the names of the rules that applied, one a node.

    Beyond `most_bytes` the weights are kept in 16 bits where `may_round` allows it, since the engine will compute in 16
    bits anyhow; otherwise they lie beside the file. A model with loops or branches is only folded. Raises what onnx and onnxruntime raise for a broken model.
    """
    model = _folded(source)
    if is_nested(model):
        # Rules see one graph only, and what its inner ones take from it would seem unused.
        _write(model, target, most_bytes)
        return []
    network = Network(model)
    applied = _apply(network)
    network.prune()
    if may_round and _size(network.weights) > most_bytes:
        for weight in _large(network):
            network.half(weight)
    _write(network.finished(), target, most_bytes)
    return applied


def _folded(source: Path) -> onnx.ModelProto:
    """The model after ONNX Runtime's basic optimisations, which keep to ONNX's own operators."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(dir=source.parent if _is_writable(source.parent) else None) as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "folded.data"
        )
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        model = onnx.load(path)
    used = {node.domain for node in model.graph.node} | {_ONNX}
    for domain in [item for item in model.opset_import if item.domain not in used]:
        model.opset_import.remove(domain)
    return model


def _apply(network: Network) -> list[str]:
    return [
        rule.__name__
        for kind, rule in RULES
        for node in network.nodes
        if node.op_type == kind and rule(network, node)
    ]


def _large(network: Network) -> list[TensorProto]:
    return [
        weight
        for weight in network.weights
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= _LARGE_ELEMENTS
    ]


def _size(weights: Iterable[TensorProto]) -> int:
    return sum(len(weight.raw_data) for weight in weights)


def _write(model: onnx.ModelProto, target: Path, most_bytes: int) -> None:
    if _size(model.graph.initializer) <= most_bytes:
        onnx.save(model, target)
        return
    data = target.with_name(f"{target.name}.data")
    data.unlink(missing_ok=True)
    onnx.save(model, target, save_as_external_data=True, location=data.name)


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
