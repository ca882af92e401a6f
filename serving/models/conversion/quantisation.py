"""Matrix products in 8 bits, for CPUs."""

from __future__ import annotations

from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic


def quantize(source: Path, target: Path) -> None:
    """Weights in 8 bits, activations as they come.

    One scale a column: with one a matrix the decoder was seen to loop on speech that it otherwise reads. Seven of the
    eight bits: processors without VNNI overflow on sums of full ones (ONNX Runtime, "Quantize ONNX models").
    """
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )
