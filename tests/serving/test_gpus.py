"""What is told of GPUs, with NVML played by a small class over two of them."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serving.gpus import GpuCollector, handles, tell_gpus


class Nvml:
    class NVMLError(Exception): ...

    def __init__(self, failure="", *, sliced=False, lost=False):
        self.failure, self.sliced, self.lost = failure, sliced, lost

    def nvmlInit(self):  # noqa: N802 - NVML's name
        if self.failure:
            raise self.NVMLError(self.failure)

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, name):  # noqa: N802
        return int(name.removeprefix("GPU-"))

    def nvmlDeviceGetUtilizationRates(self, gpu):  # noqa: N802
        if self.sliced:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=25 * (gpu + 1), memory=1)

    def nvmlDeviceGetMemoryInfo(self, gpu):  # noqa: N802
        if self.lost:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(total=1000 + gpu, used=100 + gpu, free=900)


def told(nvml, visible=None):
    registry = CollectorRegistry()
    registry.register(GpuCollector(nvml, handles(nvml, visible)))
    return registry


def value(registry, name, gpu):
    return registry.get_sample_value(f"duoscribe_gpu_{name}", {"gpu": gpu})


def test_each_gpu_tells_how_busy_and_how_full_it_is():
    registry = told(Nvml())
    assert [value(registry, "utilization_ratio", gpu) for gpu in "01"] == [0.25, 0.5]
    assert [value(registry, "memory_used_bytes", gpu) for gpu in "01"] == [100, 101]
    assert [value(registry, "memory_total_bytes", gpu) for gpu in "01"] == [1000, 1001]


@pytest.mark.parametrize("visible", ["1", "GPU-1", "1,-1,0"])
def test_gpus_are_those_that_cuda_sees_and_counted_as_it_does(visible):
    registry = told(Nvml(), visible)
    assert value(registry, "memory_used_bytes", "0") == 101
    assert value(registry, "memory_used_bytes", "1") is None


def test_what_a_slice_does_not_tell_is_left_out():
    registry = told(Nvml(sliced=True))
    assert value(registry, "utilization_ratio", "0") is None
    assert value(registry, "memory_used_bytes", "0") == 100


def test_a_lost_gpu_does_not_spoil_the_scrape():
    assert b"duoscribe_gpu_utilization_ratio" in generate_latest(told(Nvml(lost=True)))


@pytest.mark.parametrize("nvml", [None, Nvml(failure="Driver Not Loaded")])
def test_without_nvml_or_its_driver_nothing_is_told(nvml):
    registry = CollectorRegistry()
    tell_gpus(registry, nvml)
    assert not list(registry.collect())


def test_a_service_tells_of_those_that_its_environment_leaves(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    registry = CollectorRegistry()
    tell_gpus(registry, Nvml())
    assert value(registry, "memory_used_bytes", "0") == 101
