"""Which provider runs a model, and why.

    choice = resolve(settings, look(), [encoder])

gives, say, Choice("cuda", "no TensorRT: libnvinfer.so.10: cannot open shared object file", Gpu(0, "NVIDIA L4", …)).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.settings import EXECUTION_PROVIDERS, Provider, Settings
from asr_service.engines.ort.weights import is_eight_bit, weight_bytes
from serving.errors import ModelUnavailable

_NAMES: Mapping[Provider, str] = {"tensorrt": "TensorRT", "cuda": "CUDA"}
_ON_GPU: tuple[Provider, ...] = ("tensorrt", "cuda")
_GIB = 1 << 30
# What a session needs besides its weights: CUDA's context, cuDNN's and cuBLAS's handles, one small batch.
_SESSION_BYTES = _GIB


@dataclass(frozen=True)
class Choice:
    """What was taken, and why, in words for logs and for the describing call."""

    provider: Provider
    reason: str
    gpu: Gpu | None = None


def resolve(settings: Settings, installation: Installation, weights: Iterable[Path] = ()) -> Choice:
    """Raises ModelUnavailable where the provider that was asked for cannot be had; auto takes the best that can.

    `weights` are the model's ONNX files.
    """
    check_packages(installation)
    case = _Case(settings, installation, tuple(weights))
    if settings.provider == "cpu":
        return Choice("cpu", "asked for")
    if settings.provider == "auto":
        return case.best()
    if obstacle := case.obstacle(settings.provider):
        raise ModelUnavailable(f"no {_NAMES[settings.provider]}: {obstacle}")
    return Choice(settings.provider, "asked for", case.gpu)


def check_packages(installation: Installation) -> None:
    """Raises ModelUnavailable where ONNX Runtime is missing, or there twice: both write to one folder."""
    packages = installation.packages
    if not installation.onnxruntime:
        raise ModelUnavailable(
            "ONNX Runtime is missing: pip install 'duoscribe[cpu]', or the extra gpu-cu12 or gpu-cu13 on a machine with a GPU"
        )
    if len(packages) > 1:
        found = " and ".join(f"{name} {number}" for name, number in packages.items())
        raise ModelUnavailable(
            f"{found} are both installed and overwrite each other's files: pip uninstall --yes {' '.join(packages)}, "
            "then install one extra of cpu, gpu-cu12 and gpu-cu13"
        )


@dataclass(frozen=True)
class _Case:
    """Each check gives what keeps a provider from running the model, with who must act, or nothing."""

    settings: Settings
    installation: Installation
    weights: tuple[Path, ...]

    @property
    def gpu(self) -> Gpu:
        return self.installation.gpus[self.settings.device_id]

    def best(self) -> Choice:
        obstacles: list[str] = []
        for provider in _ON_GPU:
            obstacle = self.obstacle(provider)
            if not obstacle:
                return Choice(provider, "; ".join(obstacles) or "the fastest here", self.gpu)
            obstacles.append(f"no {_NAMES[provider]}: {obstacle}")
        # Without a GPU, one reason says all.
        return Choice("cpu", self.installation.without_gpu or "; ".join(obstacles))

    def obstacle(self, provider: Provider) -> str:
        # In this order: a later check may rely on an earlier one.
        checks: tuple[Callable[[Provider], str], ...] = (
            lambda _: self.installation.without_gpu,
            self._not_offered,
            self._no_such_gpu,
            self._missing_library,
            self._unsuitable_weights,
            self._unsuitable_precision,
            self._too_little_memory,
        )
        return next((obstacle for check in checks if (obstacle := check(provider))), "")

    def _not_offered(self, provider: Provider) -> str:
        if EXECUTION_PROVIDERS[provider] in self.installation.providers:
            return ""
        return (
            f"the installed ONNX Runtime {self.installation.onnxruntime} was built without it; uninstall it and install the "
            "extra gpu-cu12 or gpu-cu13"
        )

    def _no_such_gpu(self, _: Provider) -> str:
        last = len(self.installation.gpus) - 1
        if self.settings.device_id <= last:
            return ""
        return f"there is no GPU {self.settings.device_id}, the last is {last}; correct --device-id"

    def _missing_library(self, provider: Provider) -> str:
        words = self.installation.missing.get(provider, "")
        return words and f"{words}; install the extra gpu-cu12 or gpu-cu13 whole, or set LD_LIBRARY_PATH"

    def _unsuitable_weights(self, _: Provider) -> str:
        names = ", ".join(path.name for path in self.weights if is_eight_bit(path))
        return names and (
            f"it does not take 8-bit weights, and {names} has such; name a folder with the model's fp32 files, or choose "
            "--provider cpu"
        )

    def _unsuitable_precision(self, provider: Provider) -> str:
        bf16 = provider == "tensorrt" and self.settings.precision == "bf16"
        if not bf16 or self.gpu.compute_capability >= (8, 0):
            return ""
        return f"{self.gpu} has no bf16; choose --engine-precision fp16"

    def _too_little_memory(self, provider: Provider) -> str:
        stored = sum(map(weight_bytes, self.weights))
        halved = provider == "tensorrt" and self.settings.precision != "fp32"
        needed = (stored // 2 if halved else stored) + _SESSION_BYTES
        if self.gpu.free >= needed:
            return ""
        return (
            f"{self.gpu} has {self.gpu.free / _GIB:.1f} of {self.gpu.total / _GIB:.1f} GiB free, and this model needs at "
            f"least {needed / _GIB:.1f}; end what else uses it, or choose another with --device-id"
        )
