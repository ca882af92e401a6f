"""TensorRT's options as the ONNX Runtime backend of Triton calls them."""

from pathlib import Path

from asr_service.engines.ort.providers import Request, tensorrt_options
from asr_service.engines.ort.settings import EnginePrecision
from asr_service.engines.ort.shapes import ShapeRanges

# Triton's instance groups name devices; the other three, younger backends know by one name and older ones not at all.
_LEFT_OUT = {"device_id", "trt_fp16_enable", "trt_bf16_enable", "trt_engine_cache_prefix"}
_RENAMED = {"trt_max_workspace_size": "max_workspace_size_bytes"}
# The first that knows bf16; all else that is chosen here is older.
_ONNXRUNTIME = (1, 23)


def tensorrt(precision: EnginePrecision, shapes: ShapeRanges, folder: str) -> dict[str, str]:
    """What the service would tell the provider; engines are kept in `folder`, on the machine where Triton runs."""
    request = Request(
        provider="tensorrt",
        onnxruntime=_ONNXRUNTIME,
        precision=precision,
        shapes=shapes,
        folder=Path(folder),
    )
    options = {
        _RENAMED.get(name, name): value.lower() if value in {"True", "False"} else value
        for name, value in tensorrt_options(request).items()
        if name not in _LEFT_OUT
    }
    return {"precision_mode": precision.upper(), **options}
