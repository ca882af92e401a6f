"""What the engine on ONNX Runtime can be told. Imports none of its libraries, so every process may."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from asr_service.engines.ort.profiles import Profile

Provider = Literal["cpu", "cuda", "tensorrt"]
Wanted = Literal["auto", "cpu", "cuda", "tensorrt"]
EnginePrecision = Literal["fp16", "bf16", "fp32"]
FeatureComputer = Literal["auto", "numpy", "graph"]

EXECUTION_PROVIDERS: Mapping[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""In ONNX Runtime's terms."""
WANTED: tuple[Wanted, ...] = ("auto", "cpu", "cuda", "tensorrt")
PRECISIONS: tuple[EnginePrecision, ...] = ("fp16", "bf16", "fp32")


@dataclass(frozen=True)
class Bounds:
    relative_error: float
    """Most of the norm of the difference over the norm of the reference, of any output."""
    token_agreement: float
    """Least share of tokens that are the same."""


BOUNDS: Mapping[EnginePrecision, Bounds] = {
    # fp16 keeps 11 bits and was measured at 0.002 on a FastConformer of 17 layers, TF32 at 0.0007; bf16 keeps 8, so
    # eight times the error of fp16. Each bound leaves several times that for deeper networks, and all are far below
    # the 0.5 and more of an engine that is wrong. Speech-like noise leaves models undecided, so a few tokens may flip.
    "fp32": Bounds(0.01, 0.98),
    "fp16": Bounds(0.03, 0.9),
    "bf16": Bounds(0.1, 0.8),
}


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
    bounds: Bounds | None = None
    """Of the gate, in place of those of the precision; for models that nobody trained."""
    features: FeatureComputer = "auto"
    """What computes features: a graph beside the encoder, or NumPy on the host; auto: the graph on GPUs."""
    shapes_of_gpu: bool = False
    """Whether utterances are padded on a CPU as they are on a GPU: to compare what the two hear."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of providers and sessions that replace what `providers.placement` chooses."""

    @property
    def allowed(self) -> Bounds:
        return self.bounds or BOUNDS[self.precision]


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """Reads NAME=VALUE. Raises ValueError."""
    options = {}
    for text in texts:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not (name and separator):
            raise ValueError(f"{text!r} is no option of a provider: write NAME=VALUE")
        options[name] = value
    return options
