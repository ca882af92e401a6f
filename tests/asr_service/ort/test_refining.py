"""A refined encoder computes what the exported one does, with less of what TensorRT is slow at."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.refining import refine
from workbench.networks import fastconformer

LAYERS = 2


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FastConformer whose every weight matters: none is left at nought or one."""
    torch.manual_seed(0)
    network = fastconformer.FastConformer(replace(fastconformer.TINY, layers=LAYERS))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    fastconformer.export(network, path)
    return path


def run(path: Path, rows: int, frames: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(frames)
    lengths = np.linspace(frames, frames // 2, rows).astype(np.int64)
    features = noise.standard_normal((rows, 80, frames), np.float32)
    return session.run(None, {"audio_signal": features, "length": lengths})


def kinds(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize(("rows", "frames"), [(1, 100), (3, 217), (2, 64)])
def test_the_function_stays_the_same(exported: Path, tmp_path: Path, rows: int, frames: int) -> None:
    refined = tmp_path / "refined.onnx"
    refine(exported, refined, may_round=False)
    for before, after in zip(run(exported, rows, frames), run(refined, rows, frames), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_what_is_slow_is_gone(exported: Path, tmp_path: Path) -> None:
    refined = tmp_path / "refined.onnx"
    applied = Counter(refine(exported, refined, may_round=False))
    assert applied == {
        "pad_factor": LAYERS,
        "pad_convolution": LAYERS,
        "multiply_pointwise": 2 * LAYERS,
        "cancel": 2 * LAYERS,
        "flatten_batch": LAYERS,
    }
    # What is left of the convolutions: five in the subsampling, and each layer's depthwise one.
    assert kinds(refined)["Conv"] == 5 + LAYERS
    assert kinds(refined)["Pad"] == LAYERS, "of the positions, instead of the scores"


def test_the_model_keeps_its_metadata_and_its_names(tmp_path: Path) -> None:
    source, refined = tmp_path / "model.onnx", tmp_path / "refined.onnx"
    product(tmp_path / "model.onnx", metadata={"model_type": "zipformer2"})
    refine(source, refined, may_round=False)
    before, after = onnx.load(source), onnx.load(refined)
    assert {prop.key: prop.value for prop in after.metadata_props} == {"model_type": "zipformer2"}
    assert [value.name for value in after.graph.input] == [value.name for value in before.graph.input]
    assert [value.name for value in after.graph.output] == [value.name for value in before.graph.output]


def test_weights_of_a_model_that_fits_are_left_as_they_are(tmp_path: Path) -> None:
    product(tmp_path / "model.onnx")
    refine(tmp_path / "model.onnx", tmp_path / "refined.onnx", may_round=True)
    assert weight_types(tmp_path / "refined.onnx") == {TensorProto.FLOAT}


@pytest.mark.parametrize("may_round", [True, False])
def test_weights_beyond_a_message_are_halved_only_if_allowed(may_round: bool, tmp_path: Path) -> None:
    source, refined = tmp_path / "model.onnx", tmp_path / "refined.onnx"
    matrix = product(source)
    refine(source, refined, may_round=may_round, most_bytes=1000)
    assert weight_types(refined) == {TensorProto.FLOAT16 if may_round else TensorProto.FLOAT}
    session = onnxruntime.InferenceSession(str(refined), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(1).standard_normal((3, 300), np.float32)
    (found,) = session.run(None, {"x": rows})
    np.testing.assert_allclose(found, rows @ matrix, rtol=2e-3 if may_round else 1e-5, atol=2e-2)


def test_a_pad_that_is_not_of_zeros_beside_columns_stays(tmp_path: Path) -> None:
    graph = Graph("pads")
    x = graph.input("x", FLOAT, ("rows", 4))
    columns = graph.op("MatMul", x, graph.floats(np.eye(4)))
    ones = graph.op("Pad", columns, graph.ints([0, 1, 0, 0]), graph.floats(1.0))
    below = graph.op("Pad", columns, graph.ints([0, 0, 1, 0]))
    graph.output("ones", ones, FLOAT, ("rows", 5))
    graph.output("below", below, FLOAT, ("more", 4))
    graph.save(tmp_path / "model.onnx")
    assert refine(tmp_path / "model.onnx", tmp_path / "refined.onnx", may_round=False) == []
    assert kinds(tmp_path / "refined.onnx")["Pad"] == 2


def test_a_pointwise_convolution_among_convolutions_stays(tmp_path: Path) -> None:
    """A product in its place would be between two copies."""
    graph = Graph("convolutions")
    weights = graph.floats(np.random.default_rng(0).standard_normal((4, 4, 1)))
    kept = graph.op("Relu", graph.op("Conv", graph.input("x", FLOAT, ("rows", 4, "frames")), weights))
    replaced = graph.op("Conv", kept, weights)
    frames_first = graph.op("Transpose", replaced, perm=[0, 2, 1])
    graph.output("y", graph.op("LogSoftmax", frames_first, axis=2), FLOAT, ("rows", "frames", 4))
    graph.save(tmp_path / "model.onnx")
    assert refine(tmp_path / "model.onnx", tmp_path / "refined.onnx", may_round=False) == [
        "multiply_pointwise",
        "cancel",
    ]
    assert kinds(tmp_path / "refined.onnx")["Conv"] == 1


def product(path: Path, metadata: dict[str, object] | None = None) -> np.ndarray:
    """Writes a model that multiplies by a large matrix, and gives the matrix."""
    matrix = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
    graph = Graph("product")
    x = graph.input("x", FLOAT, ("rows", 300))
    graph.output("y", graph.op("MatMul", x, graph.floats(matrix)), FLOAT, ("rows", 300))
    graph.save(path, metadata)
    return matrix


def weight_types(path: Path) -> set[int]:
    model = onnx.load(path)
    assert all(numpy_helper.to_array(weight).size for weight in model.graph.initializer)
    return {weight.data_type for weight in model.graph.initializer}


def test_a_model_with_a_loop_stays_whole(tmp_path: Path) -> None:
    """What only the loop's body takes is no waste."""
    source, target = tmp_path / "loop.onnx", tmp_path / "refined.onnx"
    text = """
        <ir_version: 8, opset_import: ["" : 17]>
        powers (float[N] x, int64 steps) => (float[N] y) {
            scale = Sqrt(x)
            go_on = Constant<value = bool {1}>()
            y = Loop(steps, go_on, x) <body = step (int64 i, bool before, float[N] sum) => (bool after, float[N] more) {
                after = Identity(before)
                more = Mul(sum, scale)
            }>
        }
    """
    onnx.save(onnx.parser.parse_model(text), source)
    assert refine(source, target, may_round=False) == []
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.array([4, 9], np.float32), "steps": np.array(2)})
    assert found.tolist() == [16, 81]
