"""What this machine has, as far as running a model goes: GPUs, the libraries they need, ONNX Runtime itself."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from asr_service.engines.ort.libraries import (
    cuda_libraries,
    load_globally,
    preload,
    tensorrt_folder,
    tensorrt_libraries,
    tensorrt_version,
    why_missing,
)
from asr_service.engines.ort.settings import Provider
from serving.gpus import handles, load_nvml

# The distributions that bring the module onnxruntime.
PACKAGES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class Gpu:
    index: int
    """As CUDA counts, so among those that CUDA_VISIBLE_DEVICES leaves."""
    name: str
    compute_capability: tuple[int, int]
    driver: str
    total: int
    """Bytes of memory."""
    free: int
    """Bytes, when it was asked."""

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name})"


@dataclass(frozen=True)
class Installation:
    onnxruntime: str = ""
    """Its version; empty where it is missing."""
    providers: Collection[str] = ()
    """Those that this ONNX Runtime was built with, in its own terms."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version by name, of PACKAGES."""
    gpus: tuple[Gpu, ...] = ()
    without_gpu: str = ""
    """Why there is none; empty where there is one."""
    missing: Mapping[Provider, str] = field(default_factory=dict)
    """What keeps a provider's libraries from being loaded, in the loader's words."""
    tensorrt: str = ""
    """TensorRT's version; empty where it cannot be loaded."""

    @property
    def version(self) -> tuple[int, ...]:
        """ONNX Runtime's, for comparisons."""
        return tuple(int(part) for part in self.onnxruntime.split(".") if part.isdigit())


def look() -> Installation:
    """Asks this machine. Also loads libraries that came as packages, so that sessions find them."""
    onnxruntime = _module("onnxruntime")
    gpus, without_gpu = find_gpus(load_nvml(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    found = Installation(
        onnxruntime=getattr(onnxruntime, "__version__", ""),
        providers=onnxruntime.get_available_providers() if onnxruntime else (),
        packages={name: number for name in PACKAGES if (number := _version(name))},
        gpus=gpus,
        without_gpu=without_gpu,
    )
    return _with_libraries(found, onnxruntime) if onnxruntime and gpus else found


def _with_libraries(found: Installation, onnxruntime: Any) -> Installation:
    preload(onnxruntime)
    tensorrt = tensorrt_libraries(found.version)
    no_cuda = why_missing(cuda_libraries(found.version, getattr(onnxruntime, "cuda_version", None)))
    no_tensorrt = why_missing(tensorrt, folder=tensorrt_folder())
    return Installation(
        found.onnxruntime,
        found.providers,
        found.packages,
        found.gpus,
        missing={"cuda": no_cuda, "tensorrt": no_cuda or no_tensorrt},
        tensorrt="" if no_tensorrt else tensorrt_version(load_globally(tensorrt[0])),
    )


def find_gpus(nvml: Any, visible: str | None) -> tuple[tuple[Gpu, ...], str]:
    """NVIDIA's GPUs, or none and the reason. `nvml` is the module pynvml; `visible` is CUDA_VISIBLE_DEVICES."""
    if nvml is None:
        return (
            (),
            "no GPU can be asked for: the package nvidia-ml-py is missing, which the extras gpu-cu12 and gpu-cu13 bring",
        )
    try:
        nvml.nvmlInit()
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        gpus = tuple(_gpu(nvml, index, handle, driver) for index, handle in enumerate(handles(nvml, visible)))
    except nvml.NVMLError as error:
        return (), f"no GPU: NVIDIA's driver says {error}"
    if gpus:
        return gpus, ""
    return (), "no GPU" if visible is None else f"no GPU: CUDA_VISIBLE_DEVICES is {visible!r}"


def _gpu(nvml: Any, index: int, handle: Any, driver: str) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    name = _text(nvml.nvmlDeviceGetName(handle))
    return Gpu(index, name, (int(major), int(minor)), driver, int(memory.total), int(memory.free))


def _text(value: str | bytes) -> str:
    """Old versions of pynvml give bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _module(name: str) -> Any:
    """None where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
