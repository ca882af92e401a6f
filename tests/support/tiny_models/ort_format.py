"""ONNX Runtime's own file format, in which models for small devices are published."""

from pathlib import Path

import onnxruntime

from asr_service.engines.ort.graphs.builder import Graph


def convert(graph: Graph, path: Path) -> None:
    """Writes `graph` to `path` in ORT format. Loading a model is the only way to make one, so an ONNX file comes first."""
    source = path.with_suffix(".onnx")
    graph.save(source)
    options = onnxruntime.SessionOptions()
    # Fused operators of a newer onnxruntime would be unknown to the one that a recogniser bundles.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    source.unlink()
