"""Tensors as Triton's configurations describe them: kind and axes, without the batch's."""

from dataclasses import dataclass
from typing import Any

from asr_service.engines.ort.runtime import Session
from serving.errors import ModelUnavailable

VARIES = -1

_KINDS = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(int32)": "TYPE_INT32"}


@dataclass(frozen=True)
class Tensor:
    name: str
    kind: str
    """In Triton's terms."""
    dims: tuple[int, ...]
    is_number: bool = False
    """Whether a graph takes or gives one number a row, (batch,), which Triton sees as (batch, 1)."""
    optional: bool = False

    @property
    def shape(self) -> tuple[int | None, ...]:
        """As a graph has it, None for what varies."""
        dims = () if self.is_number else self.dims
        return (None, *(None if size == VARIES else size for size in dims))


def inputs_of(session: Session) -> list[Tensor]:
    """As ONNX Runtime tells Triton of them. Raises ModelUnavailable for what has no batches."""
    return [_tensor(described) for described in session.inputs.values()]


def outputs_of(session: Session) -> list[Tensor]:
    """Likewise."""
    return [_tensor(described) for described in session.outputs.values()]


def _tensor(described: Any) -> Tensor:
    rows, *axes = described.shape or [0]
    if isinstance(rows, int) or described.type not in _KINDS:
        raise ModelUnavailable(
            f"{described.name!r} is {described.type} of shape {described.shape}, which Triton cannot batch: export the model "
            "with an axis of utterances that varies"
        )
    dims = tuple(axis if isinstance(axis, int) else VARIES for axis in axes)
    return Tensor(described.name, _KINDS[described.type], dims or (1,), is_number=not dims)
