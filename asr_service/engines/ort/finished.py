"""A graph around a finished engine: one node that names its file. There is nothing in it that could be built.

ONNX Runtime calls the node EPContext ("EP context design"). It spares a start the reading of the encoder's weights
and TensorRT's parsing of them, which take longer than the engine itself.
"""

from collections import Counter
from collections.abc import Mapping
from json import loads
from pathlib import Path

import onnx
from onnx import helper

from asr_service.engines.ort.providers import TENSORRT
from serving.errors import ModelUnavailable

_MICROSOFT = "com.microsoft"
_IR_VERSION = 8


def finished_graph(encoder: Path, engine: str) -> bytes:
    """With the encoder's inputs, outputs and metadata; `engine` is the name of a file beside the graph's own."""
    model = onnx.load(encoder, load_external_data=False)
    fixed = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in fixed]
    outputs = list(model.graph.output)
    node = helper.make_node(
        "EPContext",
        [value.name for value in inputs],
        [value.name for value in outputs],
        name="engine",
        domain=_MICROSOFT,
        main_context=1,
        embed_mode=0,
        ep_cache_context=engine,
        source=TENSORRT,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
    graph = helper.make_graph([node], "engine", inputs, outputs)
    made = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    made.metadata_props.extend(model.metadata_props)
    return bytes(made.SerializeToString())


def nodes_by_provider(trace: Path) -> dict[str, Counter[str]]:
    """What ran where, by operator, in a profile that ONNX Runtime wrote. Copies between devices are left out."""
    nodes: dict[str, Counter[str]] = {}
    for event in loads(trace.read_text("utf-8")):
        arguments = event.get("args", {})
        operator = arguments.get("op_name", "")
        if event.get("cat") == "Node" and "provider" in arguments and not operator.startswith("Memcpy"):
            nodes.setdefault(arguments["provider"], Counter())[operator] += 1
    return nodes


def left_over(nodes: Mapping[str, Counter[str]]) -> str:
    """What TensorRT left to others, in words; empty where it took all. Raises ModelUnavailable where it took nothing."""
    if TENSORRT not in nodes:
        raise ModelUnavailable("TensorRT takes no part of this encoder; run the model with --provider cuda")
    return "; ".join(
        f"TensorRT left {counts.total()} nodes to {provider.removesuffix('ExecutionProvider')}: "
        + ", ".join(f"{operator} {count}" for operator, count in counts.most_common())
        for provider, counts in sorted(nodes.items())
        if provider != TENSORRT
    )
