"""What PyTorch's profiler tells: of its own networks each module, and of any runtime the kernels that a GPU ran.

Kernels come from NVIDIA's tracing interface (CUPTI), which sees those of the whole process, ONNX Runtime's and TensorRT's
too.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, record_function

from workbench.benching.layers import Layer, own_times
from workbench.runtimes import Runtime, Tensors
from workbench.torch_runtime import TorchRuntime

# Before the names of modules, which might else be those of operators.
_MODULE = "module:"


def modules(runtime: TorchRuntime, inputs: Tensors, runs: int) -> list[Layer]:
    """Time of each module's own: on the GPU, or on CPUs where there is none."""
    on_gpu = runtime.device.type == "cuda"
    with _named(runtime.network):
        events = _profiled(runtime, inputs, runs)
    ranges = {
        str(event.key).removeprefix(_MODULE): event
        for event in events
        if str(event.key).startswith(_MODULE) and event.device_type.name == "CPU"
    }
    own = own_times({name: _microseconds(event, on_gpu=on_gpu) for name, event in ranges.items()})
    return [
        Layer(
            name or "(the network)",
            type(module).__name__,
            runtime.device.type,
            ranges[name].count / runs,
            own[name] / runs,
        )
        for name, module in runtime.network.named_modules()
        if name in ranges
    ]


def kernels(runtime: Runtime, inputs: Tensors, runs: int) -> list[Layer]:
    """What ran on the GPU, by kernel; nothing where PyTorch has no CUDA."""
    return of_gpu(_profiled(runtime, inputs, runs), runs) if torch.cuda.is_available() else []


def of_gpu(events: Iterable[FunctionEventAvg], runs: int) -> list[Layer]:
    """Kernels, without the host's calls that launched them and without the names that ranges have on the GPU."""
    return [
        Layer(str(event.key), "", "cuda", event.count / runs, event.self_device_time_total / runs)
        for event in events
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    ]


def _profiled(runtime: Runtime, inputs: Tensors, runs: int) -> list[FunctionEventAvg]:
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    # The first run under a profiler sets it up.
    runtime.run(inputs)
    runtime.synchronise()
    with profile(activities=activities) as profiler:
        for _ in range(runs):
            runtime.run(inputs)
            runtime.synchronise()
    return list(profiler.key_averages())


def _microseconds(event: FunctionEventAvg, *, on_gpu: bool) -> float:
    return float(event.device_time_total if on_gpu else event.cpu_time_total)


@contextmanager
def _named(network: nn.Module) -> Iterator[None]:
    """Inside, every module's call is a range of the profiler, by the module's name."""
    with ExitStack() as stack:
        for name, module in network.named_modules():
            _name(module, name, stack)
        yield


def _name(module: nn.Module, name: str, stack: ExitStack) -> None:
    ranges = ExitStack()

    def begin(*_: object) -> None:
        ranges.enter_context(record_function(f"{_MODULE}{name}"))

    def end(*_: object) -> None:
        ranges.close()

    stack.callback(module.register_forward_pre_hook(begin).remove)
    stack.callback(module.register_forward_hook(end).remove)
