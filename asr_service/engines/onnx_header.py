"""Reads what an ONNX file says about itself without loading it: metadata, inputs, outputs, where its weights lie.

sherpa-onnx ends the process when metadata is missing, so it has to be looked at first; parsing the few fields
that matter from the protobuf wire format takes milliseconds and no library, where onnx or onnxruntime would
load gigabytes of weights for it. Field numbers are those of onnx.proto's ModelProto, GraphProto and TensorProto.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import SEEK_CUR
from pathlib import Path
from typing import BinaryIO

_METADATA, _GRAPH, _INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 14, 7, 5, 11, 12
_EXTERNAL_DATA = 13
# GraphProto node = 1, NodeProto op_type = 4.
_OPERATOR_TYPE = (_GRAPH, 1, 4)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxHeader:
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)
    """By name, in order; None for a dimension that is not fixed."""
    outputs: dict[str, Shape] = field(default_factory=dict)
    weight_files: set[str] = field(default_factory=set)
    """Paths of the files that hold weights outside the model's own, relative to its folder."""


def read_header(path: Path) -> OnnxHeader:
    """Raises ValueError where the file is no ONNX model or was cut short."""
    header = OnnxHeader()
    with path.open("rb") as file:
        for number, end in _fields(file, path.stat().st_size):
            if number == _METADATA:
                entry = _strings(file, end)
                header.metadata[entry.get(1, "")] = entry.get(2, "")
            elif number == _GRAPH:
                _read_graph(file, end, header)
    if not header.inputs or not header.outputs:
        raise ValueError("no inputs or outputs")
    return header


def read_operators(path: Path) -> frozenset[str]:
    """The types of the graph's nodes, those of nested graphs left out. Raises ValueError as `read_header`."""
    with path.open("rb") as file:
        size = path.stat().st_size
        return frozenset(
            _read(file, end).decode("utf-8", "replace") for end in _descend(file, size, _OPERATOR_TYPE)
        )


def _read_graph(file: BinaryIO, end: int, header: OnnxHeader) -> None:
    for number, value_end in _fields(file, end):
        if number in {_GRAPH_INPUT, _GRAPH_OUTPUT}:
            name, shape = _value_info(file, value_end)
            (header.inputs if number == _GRAPH_INPUT else header.outputs)[name] = shape
        elif number == _INITIALIZER:
            header.weight_files.update(_locations(file, value_end))


def _locations(file: BinaryIO, end: int) -> Iterator[str]:
    """A TensorProto's external data: entries of which one has the key "location"."""
    for number, field_end in _fields(file, end):
        if number == _EXTERNAL_DATA:
            entry = _strings(file, field_end)
            if entry.get(1) == "location":
                yield entry.get(2, "")


def _value_info(file: BinaryIO, end: int) -> tuple[str, Shape]:
    """A ValueInfoProto: name = 1, type = 2 {tensor_type = 1 {shape = 2 {dim = 1 {dim_value = 1}}}}."""
    name, shape = "", list[int | None]()
    for number, field_end in _fields(file, end):
        if number == 1:
            name = _read(file, field_end).decode("utf-8", "replace")
        elif number == 2:
            shape.extend(_dimension(file, dim_end) for dim_end in _descend(file, field_end, (1, 2, 1)))
    return name, tuple(shape)


def _descend(file: BinaryIO, end: int, path: tuple[int, ...]) -> Iterator[int]:
    """The ends of all messages at this path of field numbers, each positioned at its start."""
    for number, field_end in _fields(file, end):
        if number == path[0]:
            if len(path) == 1:
                yield field_end
            else:
                yield from _descend(file, field_end, path[1:])


def _dimension(file: BinaryIO, end: int) -> int | None:
    while file.tell() < end:
        key = _varint(file)
        if key >> 3 == 1 and key & 7 == _VARINT:
            return _varint(file)
        _skip(file, key & 7)
    return None


def _strings(file: BinaryIO, end: int) -> dict[int, str]:
    return {
        number: _read(file, field_end).decode("utf-8", "replace") for number, field_end in _fields(file, end)
    }


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Length-delimited fields up to `end`: number and end, with the file at the field's first byte."""
    while (position := file.tell()) < end:
        key = _varint(file)
        if key & 7 != _BYTES:
            _skip(file, key & 7)
            continue
        length = _varint(file)
        field_end = file.tell() + length
        if field_end > end:
            raise ValueError(f"field {key >> 3} at byte {position} runs past the end")
        yield key >> 3, field_end
        file.seek(field_end)
    if file.tell() != end:
        raise ValueError("a field runs past the end")


def _skip(file: BinaryIO, wire_type: int) -> None:
    if wire_type == _VARINT:
        _varint(file)
    elif wire_type == _BYTES:
        file.seek(_varint(file), SEEK_CUR)
    elif wire_type in _FIXED_SIZE:
        file.seek(_FIXED_SIZE[wire_type], SEEK_CUR)
    else:
        raise ValueError(f"wire type {wire_type} is not of this format")


def _read(file: BinaryIO, end: int) -> bytes:
    return file.read(end - file.tell())


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")
