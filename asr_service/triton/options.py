"""What the people who run Triton choose."""

from dataclasses import dataclass
from typing import Literal

from asr_service.engines.ort.profiles import Profile
from asr_service.engines.ort.settings import EnginePrecision

Device = Literal["gpu", "cpu"]


@dataclass(frozen=True)
class Options:
    profile: Profile
    """Batches that the encoder takes; their most rows bound those of all parts."""
    device: Device = "gpu"
    precision: EnginePrecision = "fp16"
    """Of TensorRT's engine."""
    instances: int = 1
    """Copies of each graph that work side by side."""
    engines: str = "/var/tmp"  # noqa: S108 - on the machine where Triton runs, and kept when it starts again
    """The folder there in which TensorRT's engines get one of their own."""

    @property
    def on_gpu(self) -> bool:
        return self.device == "gpu"
