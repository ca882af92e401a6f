"""What the engine on ONNX Runtime can be told. Imports none of its libraries, so every process may."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from asr_service.engines.ort.profiles import Profile

Provider = Literal["cpu", "cuda", "tensorrt"]
Wanted = Literal["auto", "cpu", "cuda", "tensorrt"]
EnginePrecision = Literal["fp16", "bf16", "fp32"]

EXECUTION_PROVIDERS: Mapping[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""In ONNX Runtime's terms."""
WANTED: tuple[Wanted, ...] = ("auto", "cpu", "cuda", "tensorrt")
PRECISIONS: tuple[EnginePrecision, ...] = ("fp16", "bf16", "fp32")


@dataclass(frozen=True)
class Settings:
    provider: Wanted = "auto"
    device_id: int = 0
    """Which GPU, in the order of their places on the bus, among those that CUDA_VISIBLE_DEVICES leaves."""
    threads: int = 1
    profiles: tuple[Profile, ...] = ()
    """Empty: what suits the model's family."""
    precision: EnginePrecision = "fp16"
    """Of TensorRT's engines. On CUDA the weights stay fp32; fp32 also asks it not to round products to TF32."""
    build: bool = False
    """Whether missing engines are built before the service serves, instead of refusing to start."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of providers and sessions that replace what `providers.placement` chooses."""


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """Reads NAME=VALUE. Raises ValueError."""
    options = {}
    for text in texts:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not (name and separator):
            raise ValueError(f"{text!r} is no option of a provider: write NAME=VALUE")
        options[name] = value
    return options
