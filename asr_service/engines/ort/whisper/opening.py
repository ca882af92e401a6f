"""Opens and saves graphs that were written in memory, however large their weights are."""

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from asr_service.engines.ort.runtime import Placement, Session

LARGEST_MESSAGE = 2**31 - 2**24
"""Bytes of weights that fit into one message of protobuf's, with room for nodes and names."""


def open_graph(model: onnx.ModelProto, placement: Placement, *, largest: int = LARGEST_MESSAGE) -> Session:
    """Weights of more than `largest` bytes go through a file that is gone once they are loaded."""
    if _weight(model.graph) <= largest:
        return Session(model.SerializeToString(), placement)
    with TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        save_graph(model, path, largest=largest)
        return Session(path, placement)


def save_graph(model: onnx.ModelProto, path: Path, *, largest: int = LARGEST_MESSAGE) -> None:
    """Weights of more than `largest` bytes lie beside it, in a file of its name with `.data` behind."""
    apart = _weight(model.graph) > largest
    onnx.save(model, path, save_as_external_data=apart, location=f"{path.name}.data" if apart else None)


def _weight(graph: onnx.GraphProto) -> int:
    inner = (attribute.g for node in graph.node for attribute in node.attribute)
    return sum(len(tensor.raw_data) for tensor in graph.initializer) + sum(map(_weight, inner))
