"""What a model's files say about where it can run, read without loading them."""

from pathlib import Path

from asr_service.engines.onnx_header import read_header, read_operators
from serving.errors import ModelUnavailable

# Operators that onnxruntime.quantization writes. TensorRT refuses them, and CUDA leaves most of them to the CPU.
EIGHT_BIT = frozenset(
    [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "ConvInteger",
        "QLinearMatMul",
        "QLinearConv",
    ]
)


def weight_bytes(path: Path) -> int:
    """Of a graph's file and of the files beside it that hold its weights. Raises ModelUnavailable."""
    try:
        beside = (path.parent / name for name in read_header(path).weight_files)
        return sum(file.stat().st_size for file in (path, *beside))
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from error


def is_eight_bit(path: Path) -> bool:
    """Whether the graph computes with 8-bit numbers. Raises ModelUnavailable."""
    try:
        return not EIGHT_BIT.isdisjoint(read_operators(path))
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(f"{path} is not a readable ONNX file ({error}); fetch the model again")
