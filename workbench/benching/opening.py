"""A recipe's network, loaded into the runtime that is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine, python_version
from typing import Literal

from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.settings import EXECUTION_PROVIDERS, Provider, Settings
from workbench.benching.row import Setting
from workbench.building import Engine, Workplace
from workbench.exports import Export, Exports
from workbench.loading import load
from workbench.recipe import Recipe, Size
from workbench.runtimes import Kind, Runtime, engine_precision, on_cpu, on_cuda, parse_kind

Say = Callable[[str], None]


@dataclass(frozen=True)
class Opening:
    text: str
    """The recipe, as `workbench.loading.load` takes it."""
    size: Size
    kind: Kind
    installation: Installation
    device_id: int
    threads: int
    """Of CPUs."""
    say: Say
    """Is told of what takes its time."""

    @cached_property
    def recipe(self) -> Recipe:
        return load(self.text, self.size)

    @cached_property
    def gpu(self) -> int | None:
        """Which GPU computes; None where CPUs do."""
        on_gpu = _torch_has_cuda() if self.kind.backend == "pytorch" else self.kind.backend != "cpu"
        return self.device_id if on_gpu and self.installation.gpus else None

    def open(self, *, trace: Path | None = None) -> Runtime:
        """`trace` begins the name of a profile that ONNX Runtime writes. Raises ModelUnavailable, OutOfMemory."""
        match self.kind.backend:
            case "pytorch":
                # PyTorch, which the other runtimes do without.
                from workbench.torch_runtime import TorchRuntime  # noqa: PLC0415

                device = "cpu" if self.gpu is None else f"cuda:{self.gpu}"
                return TorchRuntime(self.recipe, self.kind.precision, device, threads=self.threads)
            case "cpu":
                return on_cpu(self._export.graph, threads=self.threads, trace=trace)
            case "cuda":
                precision: Literal["fp32", "tf32"] = "fp32" if self.kind.precision == "fp32" else "tf32"
                graph, device_id = self._export.graph, self.device_id
                return on_cuda(graph, self.installation, precision, device_id=device_id, trace=trace)
            case "tensorrt":
                return self._engine.open(self.say, trace=trace)

    def setting(self) -> Setting:
        """What the rows of this runtime say of it. Raises ModelUnavailable where there is no such recipe."""
        gpu = None if self.gpu is None else self.installation.gpus[self.gpu]
        is_torch = self.kind.backend == "pytorch"
        return Setting(
            recipe=self.recipe.name,
            size=self.size,
            backend=self.kind.backend,
            precision=self.kind.precision,
            unit=self.recipe.unit,
            processor=gpu.name
            if gpu
            else f"{machine()}, {self.threads} thread{'s' if self.threads > 1 else ''}",
            driver=gpu.driver if gpu else "",
            python=python_version(),
            torch=_version("torch") if is_torch else "",
            onnxruntime="" if is_torch else self.installation.onnxruntime,
            tensorrt=self.installation.tensorrt if self.kind.backend == "tensorrt" else "",
        )

    def prepare(self) -> Path | None:
        """Makes the files that `open` needs and that are not there yet, and gives their folder. Raises ModelUnavailable."""
        match self.kind.backend:
            case "pytorch":
                return None
            case "tensorrt":
                return self._engine.build(self.say).folder
            case _:
                return self._export.folder

    @cached_property
    def _export(self) -> Export:
        return Exports().get(self.text, self.size, self.say)

    @cached_property
    def _engine(self) -> Engine:
        settings = Settings("tensorrt", self.device_id, precision=engine_precision(self.kind))
        return Engine(self._export, settings, Workplace(self.installation))


def available(installation: Installation) -> list[Kind]:
    """What this machine has: PyTorch as it is fastest, and ONNX Runtime's providers, CPUs only where there is no GPU."""
    gpus = bool(installation.gpus)
    providers: tuple[Provider, ...] = ("cuda", "tensorrt") if gpus else ("cpu",)
    has_torch = bool(_version("torch"))
    torch = Kind("pytorch", "fp16" if has_torch and gpus and _torch_has_cuda() else "fp32")
    return [
        *([torch] if has_torch else []),
        *(parse_kind(provider) for provider in providers if _is_there(provider, installation)),
    ]


def _is_there(provider: Provider, installation: Installation) -> bool:
    offered = EXECUTION_PROVIDERS[provider] in installation.providers
    return offered and not installation.missing.get(provider)


def _torch_has_cuda() -> bool:
    import torch  # noqa: PLC0415 - only runtimes of PyTorch ask

    return torch.cuda.is_available()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
