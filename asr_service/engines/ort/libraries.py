"""Shared libraries that ONNX Runtime's providers link: which, and whether they can be loaded.

Wheels put them where no loader looks, so they are loaded by path first; a library that is there already answers to its
name. The names are those that the provider libraries of the released wheels link.
"""

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Version = tuple[int, ...]
Load = Callable[[str], Any]

_CUDA: dict[int, tuple[str, ...]] = {
    11: ("libcudart.so.11.0", "libcublasLt.so.11", "libcublas.so.11", "libcufft.so.10", "libcudnn.so.8"),
    12: ("libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12", "libcufft.so.11", "libcudnn.so.9"),
    13: ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9"),
}
# The package whose folder holds what `pip install tensorrt-cu12` brings.
_TENSORRT_PACKAGE = "tensorrt_libs"


def load_globally(name: str) -> Any:
    return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)


def cuda_libraries(onnxruntime: Version, cuda: str | None) -> tuple[str, ...]:
    """Of the CUDA that this ONNX Runtime says it was built for; old versions do not say."""
    told = cuda or ("11" if onnxruntime < (1, 19) else "12")
    return _CUDA.get(int(told.partition(".")[0]), ())


def tensorrt_libraries(onnxruntime: Version) -> tuple[str, ...]:
    major = 8 if onnxruntime < (1, 18) else 10
    names = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
    # Nothing has linked the plugins since 1.23.
    wanted = names if onnxruntime < (1, 23) else (names[0], names[2])
    return tuple(f"{name}.so.{major}" for name in wanted)


def why_missing(names: Iterable[str], load: Load = load_globally, *, folder: Path | None = None) -> str:
    """The loader's words about the first that cannot be loaded, by name or out of `folder`; empty where all can."""
    for name in names:
        try:
            _load(name, load, folder)
        except OSError as error:
            return str(error)
    return ""


def tensorrt_folder() -> Path | None:
    """Where TensorRT's wheels put its libraries; None where there are none."""
    spec = find_spec(_TENSORRT_PACKAGE)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else None


def tensorrt_version(library: Any) -> str:
    """Of a loaded libnvinfer: 8.6.0 counts as 8600, 10.3.0 as 100300."""
    number = int(library.getInferLibVersion())
    if number >= 10_000:
        parts = (number // 10_000, number // 100 % 100, number % 100)
    else:
        parts = (number // 1_000, number // 100 % 10, number % 100)
    return ".".join(str(part) for part in parts)


def preload(onnxruntime: Any) -> None:
    """Loads CUDA and cuDNN out of their wheels, where this ONNX Runtime knows how to."""
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it does not find, and standard output may hold results.
        with contextlib.redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls()


def _load(name: str, load: Load, folder: Path | None) -> Any:
    try:
        return load(name)
    except OSError:
        if folder is None or not (folder / name).exists():
            raise
        return load(str(folder / name))
