"""TensorRT played on the CPU: sessions that leave engines and traces behind as ONNX Runtime's provider does."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import OrtValue

from asr_service.engines.base import Samples
from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.providers import TENSORRT
from asr_service.engines.ort.runtime import Array, Placement, Session
from asr_service.engines.ort.shapes import FeatureLayout
from serving.errors import ModelUnavailable

GIB = 1 << 30
H200 = Gpu(0, "NVIDIA H200", (9, 0), "570.86", 140 * GIB, 139 * GIB)
INSTALLATION = Installation(
    onnxruntime="1.26.0",
    providers=(TENSORRT, "CUDAExecutionProvider", "CPUExecutionProvider"),
    packages={"onnxruntime-gpu": "1.26.0"},
    gpus=(H200,),
    tensorrt="10.9.0",
)
BINS = 4
WIDTH = 5
ENGINE = "encoder_sm90.engine"


def write_encoder(path: Path, *, seed: int = 0) -> Path:
    """Features (N, T, 4) and their lengths → tanh of a product, (N, T, 5), and the lengths."""
    weights = np.random.default_rng(seed).normal(size=(BINS, WIDTH)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Tanh", ["product"], ["out"]),
            helper.make_node("Identity", ["x_lens"], ["out_lens"]),
        ],
        "encoder",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", BINS]),
            helper.make_tensor_value_info("x_lens", TensorProto.INT64, ["N"]),
        ],
        [
            helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", "T", WIDTH]),
            helper.make_tensor_value_info("out_lens", TensorProto.INT64, ["N"]),
        ],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"model_type": "tiny", "vocab_size": str(WIDTH)})
    onnx.save(model, path)
    return path


def tiny_network(folder: Path) -> Network:
    """Of the encoder in `folder`; its frames are 100 samples cut into four means, its search takes the largest of each."""
    return Network(
        "transducer",
        folder / "encoder.onnx",
        FeatureLayout(BINS, 1, lambda samples: samples // 100),
        _inputs,
        lambda _: _largest,
    )


def _inputs(batch: Sequence[Samples]) -> Mapping[str, Array]:
    frames = [
        samples[: len(samples) // 100 * 100].reshape(-1, BINS, 100 // BINS).mean(axis=2) for samples in batch
    ]
    return {"x": np.stack(frames) * 10, "x_lens": np.array([len(each) for each in frames], np.int64)}


def _largest(outputs: Mapping[str, OrtValue]) -> list[list[int]]:
    return [[int(token) for token in row] for row in outputs["out"].numpy().argmax(axis=2)[:, ::50]]


class FakeTensorrt:
    """Opens sessions. What it computes is the CPU's, passed through `distort`; `left` is what it does not take."""

    def __init__(
        self,
        *,
        distort: Callable[[Array], Array] = lambda values: values,
        left: Mapping[str, Sequence[str]] | None = None,
        writes_engine: bool = True,
        loads_alone: bool = True,
    ) -> None:
        self.builds = 0
        self.opened: list[Path] = []
        self._distort = distort
        self._left = left or {}
        self._writes_engine = writes_engine
        self._loads_alone = loads_alone

    def __call__(self, model: Path, placement: Placement, *, trace: Path | None = None) -> Any:
        self.opened.append(model)
        name, options = placement.providers[0]
        if name != TENSORRT:
            return Session(model, placement)
        if "trt_engine_cache_path" in options:
            return self._whole(model, Path(options["trt_engine_cache_path"]), trace)
        return self._alone(model)

    def _whole(self, model: Path, folder: Path, trace: Path | None) -> "FakeSession":
        if not (folder / ENGINE).exists() and self._writes_engine:
            self.builds += 1
            # The engine holds all that is needed to compute.
            (folder / ENGINE).write_bytes(model.read_bytes())
            (folder / "TensorrtExecutionProvider_cache_sm90.timing").write_bytes(b"timings")
        if trace is not None:
            self._write_trace(trace.with_suffix(".json"))
        return FakeSession(Session(model, Placement()), self._distort, trace)

    def _alone(self, model: Path) -> "FakeSession":
        if not self._loads_alone:
            raise ModelUnavailable("no such node")
        (node,) = onnx.load(model).graph.node
        engine = next(item.s.decode() for item in node.attribute if item.name == "ep_cache_context")
        return FakeSession(Session((model.parent / engine).read_bytes(), Placement()), self._distort, None)

    def _write_trace(self, path: Path) -> None:
        ran = {TENSORRT: ["TRTKernel_graph_encoder_0"], **self._left}
        events = [
            {
                "cat": "Node",
                "name": f"{operator}_kernel_time",
                "args": {"op_name": operator, "provider": provider},
            }
            for provider, operators in ran.items()
            for operator in operators
        ]
        path.write_text(json.dumps([{"cat": "Session", "name": "model_run", "args": {}}, *events]))


class FakeSession:
    def __init__(self, session: Session, distort: Callable[[Array], Array], trace: Path | None) -> None:
        self.metadata, self.outputs = session.metadata, session.outputs
        self._session = session
        self._distort = distort
        self._trace = trace
        self._computed: list[Array] = []

    def run(self, inputs: Mapping[str, Array]) -> dict[str, OrtValue]:
        outputs = self._session.run(inputs)
        for name in outputs.keys() & {"out"}:
            # An OrtValue of an array is a view of it.
            self._computed.append(self._distort(outputs[name].numpy()))
            outputs[name] = OrtValue.ortvalue_from_numpy(self._computed[-1])
        return outputs

    def finish_trace(self) -> Path:
        if self._trace is None:
            raise RuntimeError("nothing was traced")
        return self._trace.with_suffix(".json")
