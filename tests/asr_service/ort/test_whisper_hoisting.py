"""A step is taken apart into what every step computes anew and what is the same for all."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.graphs.inlining import Model, read
from asr_service.engines.ort.whisper.hoisting import Parts, hoist


def model(path: Path) -> Model:
    """y = (audio * w + w) * token, and z = w * w * token; a branch doubles the audio's part where the token is positive."""
    graph = Graph("step")
    audio, token = (graph.input(name, FLOAT, (2,)) for name in ("audio", "token"))
    weight = graph.floats([2, 3])
    scaled = graph.op("Add", graph.op("Mul", audio, weight), weight)
    square = graph.op("Mul", weight, weight)
    positive = graph.op("Greater", graph.op("ReduceSum", token, graph.ints([0]), keepdims=0), graph.floats(0))
    branches = {}
    for name, gain in (("then_branch", 2), ("else_branch", 1)):
        branch = graph.inner(name)
        branch.output(f"{name}/result", branch.op("Mul", scaled, branch.floats(gain)), FLOAT, (2,))
        branches[name] = branch.proto()
    doubled = graph.op("If", positive, **branches)
    graph.output("y", graph.op("Mul", doubled, token), FLOAT, (2,))
    graph.output("z", graph.op("Mul", square, token), FLOAT, (2,))
    graph.save(path)
    (opened,) = read(path)
    return opened


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    opened = model(tmp_path / "step.onnx")
    audio, token = (value.name for value in opened.inputs)
    return hoist(opened, fixed=[audio], moving=[token])


def kinds(nodes: list[onnx.NodeProto]) -> list[str]:
    return [node.op_type for node in nodes]


def test_what_follows_the_fixed_inputs_alone_comes_before(parts: Parts) -> None:
    assert kinds(list(parts.before)) == ["Mul", "Add"]


def test_constants_and_branches_stay_inside(parts: Parts) -> None:
    assert sorted(kinds(list(parts.inside))) == sorted(
        ["Mul", "ReduceSum", "Greater", "If", "Mul", "Identity", "Mul", "Identity"]
    )


def test_a_weight_of_both_is_there_twice_under_different_names(parts: Parts) -> None:
    (before,) = parts.before_weights
    assert before.name not in {weight.name for weight in parts.inside_weights}
    assert len(parts.inside_weights) == 3, "the shared one, an axis and a threshold"


@pytest.mark.parametrize("token", [(1.0, -3.0), (0.5, 2.0)])
def test_both_together_compute_what_the_model_does(
    tmp_path: Path, parts: Parts, token: tuple[float, float]
) -> None:
    opened = model(tmp_path / "again.onnx")
    given = {
        "0:audio": np.array([5, 7], np.float32),
        "0:token": np.array(token, np.float32),
    }
    graph = Graph("both")
    for value in opened.inputs:
        graph.input(value.name, FLOAT, (2,))
    graph.adopt([*parts.before, *parts.inside], [*parts.before_weights, *parts.inside_weights])
    for value in opened.outputs:
        graph.give(value.name, FLOAT)
    y, z = _run(graph.model(), given)
    gain = 2 if sum(token) > 0 else 1
    assert y.tolist() == [gain * 12 * token[0], gain * 24 * token[1]]
    assert z.tolist() == [4 * token[0], 9 * token[1]]


def _run(model: onnx.ModelProto, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)
