"""CPU time and memory of process trees, and memory of GPUs."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving.gpus import handles, load_nvml


@dataclass(frozen=True)
class Usage:
    """Since the processes started: CPU seconds of all threads, and the largest resident memory, each summed."""

    cpu_seconds: float
    peak_memory_bytes: int


def usage(pid: int) -> Usage:
    """What a process and those that it started have used so far, in CPU time also those that have ended since."""
    cpu, peak = 0.0, 0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            times = process.cpu_times()
            cpu += times.user + times.system + times.children_user + times.children_system
            peak += _peak_memory(process.pid)
    return Usage(cpu, peak)


def resident_memory(pid: int) -> int:
    """Bytes that the process itself, without those it started, keeps in memory now."""
    return int(psutil.Process(pid).memory_info().rss)


def waited_for_core(pid: int) -> float:
    """Seconds so far in which the process's main thread could have run, and all cores were taken."""
    _, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return int(waited) / 1e9


def gpu_memory() -> int:
    """Bytes taken on all GPUs now, whoever took them; 0 where none can be asked."""
    nvml = load_nvml()
    if nvml is None:
        return 0
    try:
        nvml.nvmlInit()
        return sum(int(nvml.nvmlDeviceGetMemoryInfo(gpu).used) for gpu in handles(nvml, visible=None))
    except nvml.NVMLError:
        return 0


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def _peak_memory(pid: int) -> int:
    """Linux keeps the highest resident set of a process as VmHWM, in kB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
