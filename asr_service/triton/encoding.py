"""The encoder as Triton's batches take it: rewritten for TensorRT, and utterances first in all that it gives."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import helper

from asr_service.engines.ort.refining import refine
from asr_service.triton.families import Exportable
from serving.errors import ModelUnavailable

_SWAPPED = "rows_first/"


def write_encoder(model: Exportable, path: Path, *, may_round: bool) -> None:
    """`may_round`: where its weights do not fit into one message they are kept in 16 bits, as the engine computes anyhow.

    Raises ModelUnavailable for a broken model.
    """
    try:
        refine(model.encoder, path, may_round=may_round)
    except Exception as error:  # onnx's and onnxruntime's have no common base
        said = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{model.encoder} cannot be used ({said}); fetch the model again") from error
    if model.rows_second:
        graph = onnx.load(path, load_external_data=False)
        _swap(graph.graph, model.encoded.values())
        onnx.save(graph, path)


def _swap(graph: onnx.GraphProto, values: Iterable[str]) -> None:
    """The first two axes of these outputs, which keep their names."""
    swapped = set(values)
    for node in graph.node:
        node.output[:] = [_SWAPPED + name if name in swapped else name for name in node.output]
        node.input[:] = [_SWAPPED + name if name in swapped else name for name in node.input]
    for output in graph.output:
        if output.name in swapped:
            _transpose(graph, output)


def _transpose(graph: onnx.GraphProto, output: onnx.ValueInfoProto) -> None:
    dims = output.type.tensor_type.shape.dim
    order = [1, 0, *range(2, len(dims))]
    name = _SWAPPED + output.name
    graph.node.append(helper.make_node("Transpose", [name], [output.name], name=name, perm=order))
    turned = [onnx.TensorShapeProto.Dimension.FromString(dims[axis].SerializeToString()) for axis in order]
    del dims[:]
    dims.extend(turned)
