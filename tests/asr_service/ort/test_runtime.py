"""Sessions: the provider that was asked for, errors that say who must act, runs that can be ended."""

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from asr_service.engines.base import NEVER, Stop, Stopped
from asr_service.engines.ort.graphs.builder import FLOAT, Graph
from asr_service.engines.ort.runtime import (
    Placement,
    Rows,
    Session,
    _StrictSession,
    stoppable,
)
from serving.errors import ModelUnavailable

ON_CUDA = Placement((("CUDAExecutionProvider", {}),), "cuda", device_id=1)


def model(*nodes: onnx.NodeProto) -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"kind": "doubling"})
    return bytes(made.SerializeToString())


DOUBLING = model(helper.make_node("Add", ["x", "x"], ["y"]))


def counting() -> bytes:
    """Doubles its input without end: a loop of 2^60 rounds."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "v"], ["w"]), helper.make_node("Identity", ["going"], ["on"])],
        "body",
        [
            scalar("round", TensorProto.INT64, []),
            scalar("going", TensorProto.BOOL, []),
            scalar("v", TensorProto.FLOAT, ["n"]),
        ],
        [scalar("on", TensorProto.BOOL, []), scalar("w", TensorProto.FLOAT, ["n"])],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 60])
    return model(
        helper.make_node("Constant", [], ["n"], value=rounds),
        helper.make_node("Loop", ["n", "", "x"], ["y"], body=body),
    )


def test_a_graph_runs_and_tells_of_itself() -> None:
    session = Session(DOUBLING, Placement())
    outputs = session.run({"x": np.array([1, 2], np.float32)})
    assert outputs["y"].numpy().tolist() == [2, 4]
    assert session.metadata == {"kind": "doubling"}
    assert (list(session.inputs), list(session.outputs)) == (["x"], ["y"])


def test_outputs_feed_the_next_run() -> None:
    session = Session(DOUBLING, Placement())
    kept = session.run({"x": np.ones(3, np.float32)}, keep=["y"])
    assert session.run({"x": kept["y"]})["y"].numpy().tolist() == [4, 4, 4]


@pytest.mark.parametrize("content", [b"", b"garbage", DOUBLING[:40]])
def test_a_broken_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"cannot load encoder.onnx \(.*\); fetch the model again"):
        Session(path, Placement())


def test_a_missing_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"cannot load absent.onnx"):
        Session(tmp_path / "absent.onnx", Placement())


def test_a_provider_that_is_not_there_is_never_replaced() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ModelUnavailable, match=r"has no CUDAExecutionProvider: install the extra gpu-cu12"):
        Session(DOUBLING, ON_CUDA)


def test_onnxruntime_does_not_go_on_with_another_provider_by_itself() -> None:
    session = _StrictSession(DOUBLING, providers=["CPUExecutionProvider"])
    session.enable_fallback()
    assert not session._enable_fallback


def test_a_run_ends_soon_after_its_stop_is_set() -> None:
    session, stop = Session(counting(), Placement()), Stop()
    threading.Timer(0.05, stop.set).start()
    with stoppable(stop) as options, pytest.raises(Stopped):
        session.run({"x": np.ones(4, np.float32)}, options=options)


def test_a_run_that_was_stopped_before_it_began_does_not_begin() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped), stoppable(stop):
        pytest.fail("it began")


def test_a_run_that_nobody_stops_goes_through() -> None:
    with stoppable(NEVER) as options:
        assert Session(DOUBLING, Placement()).run({"x": np.ones(1, np.float32)}, options=options)


def test_a_trace_says_what_ran_where(tmp_path: Path) -> None:
    session = Session(DOUBLING, Placement(), trace=tmp_path / "trace")
    session.run({"x": np.ones(1, np.float32)})
    trace = session.finish_trace()
    assert trace.parent == tmp_path
    assert "CPUExecutionProvider" in trace.read_text()


def test_parts_of_a_batch_are_written_into_one_tensor(tmp_path: Path) -> None:
    graph = Graph("doubled")
    x = graph.input("x", FLOAT, ("rows", 3))
    graph.output("y", graph.op("Mul", x, graph.floats(2.0)), FLOAT, ("rows", 3))
    graph.save(tmp_path / "doubled.onnx")
    session = Session(tmp_path / "doubled.onnx", Placement())
    batch = np.arange(15, dtype=np.float32).reshape(5, 3)
    whole = session.empty((5, 3))
    for first, count in ((0, 2), (2, 3)):
        session.run({"x": batch[first : first + count]}, into={"y": Rows(whole, first, count)})
    np.testing.assert_array_equal(whole.numpy(), 2 * batch)
