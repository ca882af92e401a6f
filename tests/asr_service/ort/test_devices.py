"""What the machine says of its GPUs and libraries, with NVML and the loader played by small classes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asr_service.engines.ort.devices import Gpu, find_gpus, look
from asr_service.engines.ort.libraries import (
    cuda_libraries,
    tensorrt_libraries,
    tensorrt_version,
    why_missing,
)


class Nvml:
    """The functions of pynvml that are asked, over two GPUs."""

    class NVMLError(Exception): ...

    NAMES = ("NVIDIA A10", "NVIDIA L4")

    def __init__(self, failure: str = "", *, as_bytes: bool = False) -> None:
        self._failure = failure
        self._as_bytes = as_bytes

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        if self._failure:
            raise self.NVMLError(self._failure)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.86"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.NAMES)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:  # noqa: N802
        return int(name.removeprefix("GPU-"))

    def nvmlDeviceGetName(self, handle: int) -> Any:  # noqa: N802
        return self.NAMES[handle].encode() if self._as_bytes else self.NAMES[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=100 + handle, free=50 + handle)

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:  # noqa: N802
        return (8, 6 + 3 * handle)


A10 = Gpu(0, "NVIDIA A10", (8, 6), "570.86", 100, 50)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_every_gpu_is_told(as_bytes: bool) -> None:
    gpus, reason = find_gpus(Nvml(as_bytes=as_bytes), None)
    assert gpus == (A10, Gpu(1, "NVIDIA L4", (8, 9), "570.86", 101, 51))
    assert reason == ""


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA L4"]),
        ("1, 0", ["NVIDIA L4", "NVIDIA A10"]),
        ("GPU-1", ["NVIDIA L4"]),
        ("0,7,1", ["NVIDIA A10"]),
        ("0,-1,1", ["NVIDIA A10"]),
    ],
)
def test_gpus_are_numbered_as_cuda_numbers_them(visible: str, names: list[str]) -> None:
    gpus, _ = find_gpus(Nvml(), visible)
    assert [gpu.name for gpu in gpus] == names
    assert [gpu.index for gpu in gpus] == list(range(len(names)))


def test_hidden_gpus_are_none_and_the_reason_is_the_variable() -> None:
    assert find_gpus(Nvml(), "") == ((), "no GPU: CUDA_VISIBLE_DEVICES is ''")


def test_a_driver_that_does_not_answer_is_no_gpu() -> None:
    assert find_gpus(Nvml("Driver Not Loaded"), None) == (
        (),
        "no GPU: NVIDIA's driver says Driver Not Loaded",
    )


def test_without_nvml_no_gpu_is_known() -> None:
    gpus, reason = find_gpus(None, None)
    assert gpus == ()
    assert "nvidia-ml-py is missing" in reason


def test_this_machine_answers() -> None:
    found = look()
    assert found.version >= (1, 17)
    assert "CPUExecutionProvider" in found.providers
    assert bool(found.gpus) != bool(found.without_gpu)


@pytest.mark.parametrize(
    ("onnxruntime", "cuda", "expected"),
    [
        ((1, 17, 1), None, "libcudnn.so.8"),
        ((1, 24, 4), "12.8", "libcudart.so.12"),
        ((1, 31, 1), "13.0", "libcudart.so.13"),
    ],
)
def test_cuda_libraries_follow_the_build(
    onnxruntime: tuple[int, ...], cuda: str | None, expected: str
) -> None:
    assert expected in cuda_libraries(onnxruntime, cuda)


def test_tensorrt_libraries_follow_the_version() -> None:
    assert tensorrt_libraries((1, 17, 1))[0] == "libnvinfer.so.8"
    assert tensorrt_libraries((1, 26, 0)) == ("libnvinfer.so.10", "libnvonnxparser.so.10")


@pytest.mark.parametrize(
    ("number", "text"), [(8600, "8.6.0"), (8616, "8.6.16"), (100_300, "10.3.0"), (101_602, "10.16.2")]
)
def test_tensorrt_tells_its_version_as_a_number(number: int, text: str) -> None:
    assert tensorrt_version(SimpleNamespace(getInferLibVersion=lambda: number)) == text


def loader(*known: str) -> Callable[[str], str]:
    def load(name: str) -> str:
        if name not in known:
            raise OSError(f"{name}: cannot open shared object file")
        return name

    return load


def test_the_first_library_that_cannot_be_loaded_is_told() -> None:
    assert why_missing(["liba.so", "libb.so"], loader("liba.so", "libb.so")) == ""
    assert why_missing(["liba.so", "libb.so"], loader("liba.so")) == "libb.so: cannot open shared object file"


def test_a_library_out_of_a_wheel_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "libnvinfer.so.10").touch()
    found = loader(str(tmp_path / "libnvinfer.so.10"))
    assert why_missing(["libnvinfer.so.10"], found, folder=tmp_path) == ""
    assert (
        why_missing(["libother.so"], found, folder=tmp_path) == "libother.so: cannot open shared object file"
    )
