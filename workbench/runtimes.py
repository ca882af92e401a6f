"""What runs a network: PyTorch, or ONNX Runtime on CPUs, on CUDA, or with a TensorRT engine. All behind one interface.

    runtime = on_cuda(graph, look())
    placed = runtime.place(recipe.example())      # on its device
    outputs = runtime.run(placed)                 # they stay there
    runtime.synchronise()
    arrays = runtime.fetch(outputs)

PyTorch's is in workbench/torch_runtime.py, so that whoever needs none imports none.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from onnxruntime import OrtValue

from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.providers import Request, placement
from asr_service.engines.ort.runtime import Placement, Session
from asr_service.engines.ort.settings import EnginePrecision
from asr_service.engines.ort.shapes import ShapeRanges, Sizes
from serving.cores import cores
from serving.errors import Unavailable
from workbench.recipe import Arrays, Case, Recipe

Backend = Literal["pytorch", "cpu", "cuda", "tensorrt"]
Precision = Literal["fp32", "tf32", "fp16", "bf16"]
"""tf32: single precision, but that products are rounded to TF32 where the hardware has it."""
Tensors: TypeAlias = Mapping[str, Any]
"""By name, in a runtime's own type, on its device."""

PRECISIONS: Mapping[Backend, tuple[Precision, ...]] = {
    "pytorch": ("fp16", "fp32", "tf32", "bf16"),
    "cpu": ("fp32",),
    "cuda": ("tf32", "fp32"),
    "tensorrt": ("fp16", "fp32", "bf16"),
}
"""What each can compute with; the first is meant where nothing is said."""


# Characters of an error's message that are repeated.
_SHOWN = 200


class OutOfMemory(Exception):  # noqa: N818 - named after what happened
    """The device has too little memory for this batch; smaller ones may run."""


def in_brief(error: Exception) -> str:
    """The first words of what a runtime said, which may be pages."""
    return " ".join(str(error).split())[:_SHOWN]


@dataclass(frozen=True)
class Kind:
    """A runtime that is asked for."""

    backend: Backend
    precision: Precision

    def __str__(self) -> str:
        return f"{self.backend}-{self.precision}"


def parse_kind(text: str) -> Kind:
    """Reads BACKEND or BACKEND-PRECISION. Raises ValueError."""
    name, _, precision = text.strip().partition("-")
    for backend in get_args(Backend):
        wanted = precision or PRECISIONS[backend][0]
        if backend == name and wanted in PRECISIONS[backend]:
            return Kind(backend, wanted)
    known = ", ".join(f"{backend}-{each}" for backend, all_ in PRECISIONS.items() for each in all_)
    raise ValueError(f"{text!r} is no runtime: there are {known}")


def engine_precision(kind: Kind) -> EnginePrecision:
    """As TensorRT's engines have it."""
    return "fp32" if kind.precision == "tf32" else kind.precision


class Runtime(Protocol):
    """A network, loaded. For one thread at a time."""

    @property
    def kind(self) -> Kind: ...

    def place(self, inputs: Arrays) -> Tensors:
        """Copies a batch to the device. Raises OutOfMemory."""

    def run(self, inputs: Tensors) -> Tensors:
        """All outputs; they stay on the device and may not be computed yet. Raises OutOfMemory."""

    def synchronise(self) -> None:
        """Returns when everything that was asked for is computed."""

    def fetch(self, outputs: Tensors) -> dict[str, Any]:
        """Copies outputs to the host, floating-point numbers as float32."""


def answer(runtime: Runtime, inputs: Arrays) -> dict[str, Any]:
    """One run from host to host. Raises OutOfMemory."""
    return runtime.fetch(runtime.run(runtime.place(inputs)))


class OrtRuntime:
    """A session of ONNX Runtime."""

    def __init__(self, kind: Kind, graph: Path, placed: Placement, *, trace: Path | None = None) -> None:
        """`trace` begins the name of a profile that `session.finish_trace` ends. Raises ModelUnavailable."""
        self.kind = kind
        self.session = Session(graph, placed, trace=trace)

    def place(self, inputs: Arrays) -> Tensors:
        device, device_id = self.session.placement.device, self.session.placement.device_id
        with _saying_out_of_memory():
            return {
                name: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(inputs[name]), device, device_id)
                for name in self.session.inputs
            }

    def run(self, inputs: Tensors) -> Tensors:
        with _saying_out_of_memory():
            return self.session.run(inputs, keep=self.session.outputs)

    def synchronise(self) -> None:
        """Nothing is left to wait for: a run ends when its provider's stream has."""

    def fetch(self, outputs: Tensors) -> dict[str, Any]:
        return {name: _single(value.numpy()) for name, value in outputs.items()}


def on_cpu(graph: Path, *, threads: int | None = None, trace: Path | None = None) -> OrtRuntime:
    """On all cores, unless `threads` says how many. Raises ModelUnavailable."""
    return OrtRuntime(Kind("cpu", "fp32"), graph, Placement(threads=threads or cores()), trace=trace)


def on_cuda(
    graph: Path,
    installation: Installation,
    precision: Literal["tf32", "fp32"] = "tf32",
    *,
    device_id: int = 0,
    trace: Path | None = None,
) -> OrtRuntime:
    """Raises ModelUnavailable."""
    request = Request(
        provider="cuda",
        onnxruntime=installation.version,
        device_id=device_id,
        # Of the provider's precisions, only fp32 forbids rounding.
        precision="fp32" if precision == "fp32" else "fp16",
    )
    return OrtRuntime(Kind("cuda", precision), graph, placement(request), trace=trace)


def on_tensorrt(
    graph: Path, placed: Placement, precision: EnginePrecision, *, trace: Path | None = None
) -> OrtRuntime:
    """`placed` is of the folder that holds the engine, or of a finished engine's graph. Raises ModelUnavailable."""
    return OrtRuntime(Kind("tensorrt", precision), graph, placed, trace=trace)


def shape_ranges(recipe: Recipe) -> ShapeRanges:
    """The shapes of the profile's least, usual and largest batch, of the inputs that have a dynamic axis."""
    return ShapeRanges(*(_sizes(recipe, case) for case in recipe.profile.corners))


def _sizes(recipe: Recipe, case: Case) -> Sizes:
    sample = recipe.sample(case, 0)
    return {name: sample[name].shape for name, axes in recipe.inputs.items() if axes}


def _single(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float16 else array


@contextmanager
def _saying_out_of_memory() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise OutOfMemory(str(error.__cause__ or error)) from error
