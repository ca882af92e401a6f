"""The parts of an ensemble, and how tensors flow between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asr_service.triton.tensors import VARIES, Tensor
from serving.errors import ModelUnavailable

Backend = Literal["onnxruntime", "python"]


@dataclass(frozen=True)
class Sample:
    """A batch of equal rows that Triton tries before it says that a part is ready."""

    name: str
    rows: int
    zeros: Mapping[str, tuple[int, ...]]
    """Dims of the inputs that are zeros."""
    numbers: Mapping[str, int]
    """Inputs of one number."""


@dataclass(frozen=True)
class Part:
    name: str
    backend: Backend
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    takes: Mapping[str, str]
    """Of each input the ensemble's name for it."""
    gives: Mapping[str, str]
    """Likewise of outputs; what nobody takes is left out."""
    samples: Sequence[Sample] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    accelerator: Mapping[str, str] = field(default_factory=dict)
    """TensorRT's options as Triton's ONNX Runtime backend calls them; empty where it is not wanted."""


def check_flow(given: Sequence[Tensor], parts: Sequence[Part]) -> None:
    """Raises ModelUnavailable where a part would be fed nothing, or something else than it takes."""
    known = {tensor.name: tensor for tensor in given}
    for part in parts:
        for tensor in part.inputs:
            _check_input(part, tensor, known.get(part.takes.get(tensor.name, "")))
        known |= {part.gives[tensor.name]: tensor for tensor in part.outputs}


def _check_input(part: Part, tensor: Tensor, fed: Tensor | None) -> None:
    if fed is None:
        raise ModelUnavailable(
            f"nothing feeds the {part.name}'s input {tensor.name!r}; export the model again"
        )
    if fed.kind != tensor.kind or not _fits(fed.dims, tensor.dims):
        raise ModelUnavailable(
            f"the {part.name}'s input {tensor.name!r} is {tensor.kind} of {list(tensor.dims)}, and what comes before gives "
            f"{fed.kind} of {list(fed.dims)}; fetch the model again"
        )


def _fits(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and all(
        VARIES in sizes or len(set(sizes)) == 1 for sizes in zip(one, other, strict=True)
    )
