"""What a network's time goes to: nodes of a trace, modules of PyTorch's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.profiler_util import DeviceType, FunctionEventAvg

from support import toy_recipe
from workbench.benching.layers import Layer, as_json, of_trace, own_times
from workbench.benching.torch_layers import kernels, modules, of_gpu
from workbench.export import GRAPH, export
from workbench.recipe import Recipe
from workbench.runtimes import on_cpu
from workbench.torch_runtime import TorchRuntime


class Nested(nn.Module):
    """Computes in itself, in a module of a container twice, and below that."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(toy_recipe.BINS, 64), nn.Linear(64, toy_recipe.BINS))]
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for block in (*self.blocks, *self.blocks):
            x = block(x)
        for _ in range(200):
            x = torch.sin(x)
        return x, x.argmax(dim=2), lengths


def nested() -> Recipe:
    toy = toy_recipe.recipe("tiny")
    return Recipe(**{**vars(toy), "network": Nested})


def test_each_node_of_a_graph_is_timed_but_for_the_runs_before(tmp_path: Path) -> None:
    export(toy_recipe.recipe("tiny"), tmp_path)
    runtime = on_cpu(tmp_path / GRAPH, threads=1, trace=tmp_path / "trace")
    placed = runtime.place(toy_recipe.recipe("tiny").example())
    for _ in range(5):
        runtime.run(placed)
    trace = runtime.session.finish_trace()
    layers = of_trace(trace, runs=2)
    assert {"Tanh", "ArgMax", "Div"} <= {layer.operator for layer in layers}
    assert {layer.where for layer in layers} == {"CPUExecutionProvider"}
    assert {layer.calls for layer in layers} == {1.0}
    taken = [event["dur"] for event in last(trace, 2, "Tanh")]
    assert [layer.microseconds for layer in layers if layer.operator == "Tanh"] == [sum(taken) / 2]


def last(trace: Path, runs: int, operator: str) -> list[Mapping[str, Any]]:
    events = [
        event for event in json.loads(trace.read_text()) if event.get("args", {}).get("op_name") == operator
    ]
    return sorted(events, key=lambda event: event["ts"])[-runs:]


def test_each_module_has_its_own_time_without_that_of_others() -> None:
    runtime = TorchRuntime(nested(), "fp32", "cpu", threads=1)
    layers = {layer.name: layer for layer in modules(runtime, runtime.place(nested().example()), runs=3)}
    assert {name: (layer.operator, layer.calls) for name, layer in layers.items()} == {
        "(the network)": ("Nested", 1),
        "blocks.0": ("Sequential", 2),
        "blocks.0.0": ("Linear", 2),
        "blocks.0.1": ("Linear", 2),
    }
    assert all(layer.microseconds > 0 for layer in layers.values() if layer.operator != "Sequential")


def test_what_modules_call_is_taken_from_their_time() -> None:
    """The container `blocks` is not called itself, so its members count below the whole."""
    taken = {"": 100.0, "blocks.0": 30.0, "blocks.0.out": 20.0, "blocks.1": 40.0, "blocks.10": 5.0}
    own = {"": 25.0, "blocks.0": 10.0, "blocks.0.out": 20.0, "blocks.1": 40.0, "blocks.10": 5.0}
    assert own_times(taken) == own
    assert sum(own.values()) == taken[""]


def test_a_network_is_as_it_was_after_its_modules_were_timed() -> None:
    runtime = TorchRuntime(nested(), "fp32", "cpu", threads=1)
    modules(runtime, runtime.place(nested().example()), runs=1)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in runtime.network.modules())


def averaged(key: str, device: DeviceType, *, named: bool = False) -> FunctionEventAvg:
    event = FunctionEventAvg()
    event.key, event.device_type, event.is_user_annotation = key, device, named
    event.count, event.self_device_time_total = 6, 90
    return event


def test_kernels_are_what_ran_on_the_gpu_and_not_what_launched_it() -> None:
    events = [
        averaged("sm90_gemm", DeviceType.CUDA),
        averaged("module:out", DeviceType.CUDA, named=True),
        averaged("aten::mm", DeviceType.CPU),
    ]
    assert of_gpu(events, runs=3) == [Layer("sm90_gemm", "", "cuda", 2.0, 30.0)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_are_no_kernels() -> None:
    runtime = TorchRuntime(nested(), "fp32", "cpu", threads=1)
    assert kernels(runtime, runtime.place(nested().example()), runs=1) == []


def test_the_slowest_come_first_with_their_shares() -> None:
    layers = [Layer("a", "Add", "cpu", 1, 1.0), Layer("b", "MatMul", "cpu", 2, 3.0)]
    assert [(each["name"], each["share"]) for each in as_json(layers)] == [("b", 0.75), ("a", 0.25)]
    assert as_json([]) == []
