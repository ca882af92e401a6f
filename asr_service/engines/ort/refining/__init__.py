"""An encoder as TensorRT runs it fastest: the same function, written differently.

    refine(model.onnx, folder)   →  folder/encoder.onnx

Exporters write what the framework's modules do, one operator a call; a compiler that keeps to that order copies large
tensors to pad them, or to change their layout. What each rule saves was read off a trace of TensorRT 8.6's kernels on
an H200 (docs/benchmarks.md).
"""

from asr_service.engines.ort.refining.writing import refine

__all__ = ["refine"]
