"""Tensors from and to the bytes that the protocol carries them as."""

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from serving.errors import InvalidRequest

Array: TypeAlias = npt.NDArray[Any]


class Datatype(NamedTuple):
    """How a tensor's elements are stored, as raw bytes and in the field of their own."""

    dtype: str
    contents: str


FP32, FP64 = Datatype("<f4", "fp32_contents"), Datatype("<f8", "fp64_contents")
INT32, INT64 = Datatype("<i4", "int_contents"), Datatype("<i8", "int64_contents")

# What the protocol calls them.
NAMES = {"FP32": FP32, "FP64": FP64, "INT32": INT32, "INT64": INT64}


def read_inputs(
    request: service_pb2.ModelInferRequest, taken: Mapping[str, tuple[str, ...]]
) -> dict[str, Array]:
    """The input tensors by name, read-only where they share the request's memory.

    `taken` says which inputs there are, and which datatypes each may have. Raises InvalidRequest.
    """
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs; send one for each",
            field="raw_input_contents",
        )
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        _check(tensor, taken, arrays)
        arrays[tensor.name] = _from_raw(tensor, raw[index]) if raw else _from_contents(tensor)
    return arrays


def to_bytes(array: Array) -> bytes:
    """As raw_output_contents holds it: text as BYTES, each element behind its length."""
    if array.dtype == object:
        return b"".join(_with_length(text.encode()) for text in array.flat)
    return bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())


def _check(
    tensor: service_pb2.ModelInferRequest.InferInputTensor,
    taken: Mapping[str, tuple[str, ...]],
    arrays: Mapping[str, Array],
) -> None:
    field = f"inputs.{tensor.name}"
    if tensor.name not in taken:
        raise InvalidRequest(
            f"there is no input {tensor.name[:64]!r}; the inputs are {', '.join(taken)}", field="inputs"
        )
    if tensor.name in arrays:
        raise InvalidRequest(f"the input {tensor.name} came twice; send it once", field=field)
    check_no_parameters(tensor.parameters, field)
    if tensor.datatype not in taken[tensor.name]:
        raise InvalidRequest(
            f"{field}.datatype is {tensor.datatype[:16]!r}; send {' or '.join(taken[tensor.name])}",
            field=f"{field}.datatype",
        )
    if not tensor.shape or min(tensor.shape) < 1:
        raise InvalidRequest(
            f"{field}.shape is {list(tensor.shape)}; every dimension has at least one element",
            field=f"{field}.shape",
        )


def check_no_parameters(parameters: Iterable[str], field: str) -> None:
    """Raises InvalidRequest for a tensor that has any: shared memory, classification, and whatever else there may be."""
    if name := min(parameters, default=""):
        raise InvalidRequest(
            f"{field}.parameters.{name[:64]} is not supported: tensors have no parameters here, and travel in the messages "
            "themselves, not in shared memory",
            field=f"{field}.parameters.{name[:64]}",
        )


def _from_raw(tensor: service_pb2.ModelInferRequest.InferInputTensor, raw: bytes) -> Array:
    if tensor.HasField("contents"):
        raise InvalidRequest(
            f"inputs.{tensor.name}.contents came beside raw_input_contents; send one of them",
            field=f"inputs.{tensor.name}.contents",
        )
    dtype = np.dtype(NAMES[tensor.datatype].dtype)
    _check_size(tensor, len(raw), dtype.itemsize, "bytes", "raw_input_contents")
    return np.frombuffer(raw, dtype).reshape(tuple(tensor.shape))


def _from_contents(tensor: service_pb2.ModelInferRequest.InferInputTensor) -> Array:
    datatype = NAMES[tensor.datatype]
    field = f"inputs.{tensor.name}.contents"
    for descriptor, _ in tensor.contents.ListFields():
        if descriptor.name != datatype.contents:
            raise InvalidRequest(
                f"{field}.{descriptor.name} does not hold {tensor.datatype}; {datatype.contents} does",
                field=f"{field}.{descriptor.name}",
            )
    values = getattr(tensor.contents, datatype.contents)
    _check_size(tensor, len(values), 1, "elements", field)
    return np.array(values, datatype.dtype).reshape(tuple(tensor.shape))


def _check_size(
    tensor: service_pb2.ModelInferRequest.InferInputTensor, size: int, of_one: int, unit: str, where: str
) -> None:
    expected = math.prod(tensor.shape) * of_one
    if size != expected:
        raise InvalidRequest(
            f"inputs.{tensor.name}.shape {list(tensor.shape)} of {tensor.datatype} takes {expected:,} {unit}, and {where} "
            f"has {size:,}",
            field=f"inputs.{tensor.name}.shape",
        )


def _with_length(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text
