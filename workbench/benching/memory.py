"""How much memory is in use, where a runtime keeps its own."""

import os

import psutil

from asr_service.engines.ort.devices import find_gpus
from serving.gpus import load_nvml


class Gauge:
    """Measures from when it is made: on a GPU, by whomever, so nobody else should use it; or of this process."""

    def __init__(self, gpu: int | None) -> None:
        self._gpu = gpu
        self._before = self._used()

    def bytes(self) -> int:
        return self._used() - self._before

    def _used(self) -> int:
        if self._gpu is None:
            return int(psutil.Process().memory_info().rss)
        gpus, _ = find_gpus(load_nvml(), os.environ.get("CUDA_VISIBLE_DEVICES"))
        gpu = gpus[self._gpu]
        return gpu.total - gpu.free
