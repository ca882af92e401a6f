"""NVIDIA's GPUs as NVML sees them (the package nvidia-ml-py, module pynvml), and what they tell Prometheus."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


def load_nvml() -> Any:
    """The module pynvml; None where it is not installed."""
    try:
        return import_module("pynvml")
    except ModuleNotFoundError:
        return None


def handles(nvml: Any, visible: str | None) -> Iterator[Any]:
    """NVML's handles in CUDA's order. `visible` is CUDA_VISIBLE_DEVICES, read as CUDA does: numbers or identifiers, up to the
    first that is neither.

    To be asked after `nvmlInit`. Raises NVMLError.
    """
    if visible is None:
        yield from map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return
    for name in (part.strip() for part in visible.split(",")):
        if name.isdigit() and int(name) < nvml.nvmlDeviceGetCount():
            yield nvml.nvmlDeviceGetHandleByIndex(int(name))
        elif name.startswith(("GPU-", "MIG-")):
            yield nvml.nvmlDeviceGetHandleByUUID(name)
        else:
            return


def tell_gpus(registry: CollectorRegistry, nvml: Any) -> None:
    """From now on `registry` tells of the GPUs that this process may use; of none where NVML is missing or knows none."""
    if nvml is None:
        return
    try:
        nvml.nvmlInit()
        found = list(handles(nvml, os.environ.get("CUDA_VISIBLE_DEVICES")))
    except nvml.NVMLError:
        return
    registry.register(GpuCollector(nvml, found))


class GpuCollector(Collector):
    """Asks when it is scraped. What a GPU does not answer is left out, as utilisation is for a slice of one (MIG)."""

    def __init__(self, nvml: Any, gpus: Iterable[Any]) -> None:
        """`gpus` are NVML's handles, in CUDA's order."""
        self._nvml = nvml
        self._gpus = list(gpus)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        busy = _gauge(
            "utilization_ratio", "Part of the last moment in which the GPU computed something, 0 to 1."
        )
        used = _gauge("memory_used_bytes", "Memory in use on the GPU, by whomever.")
        total = _gauge("memory_total_bytes", "Memory of the GPU.")
        for index, gpu in enumerate(self._gpus):
            labels = [str(index)]
            with suppress(self._nvml.NVMLError):
                busy.add_metric(labels, self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
            with suppress(self._nvml.NVMLError):
                memory = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
                used.add_metric(labels, memory.used)
                total.add_metric(labels, memory.total)
        yield from (busy, used, total)


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"duoscribe_gpu_{name}", meaning, labels=["gpu"])
