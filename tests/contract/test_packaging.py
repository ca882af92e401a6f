"""What an install brings: ONNX Runtime once, whichever extras are asked for."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
ON_GPU = ("gpu-cu12", "gpu-cu13")
RUNTIMES = {"onnxruntime", "onnxruntime-gpu"}


def required(extra: str) -> Iterator[Requirement]:
    """Of an extra, and of those of this project that it names."""
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            for other in requirement.extras:
                yield from required(other)
        else:
            yield requirement


def names(*extras: str) -> set[str]:
    return {requirement.name for extra in extras for requirement in required(extra)}


@pytest.mark.parametrize("extra", ON_GPU)
def test_a_gpu_extra_brings_no_onnxruntime_for_cpus(extra: str) -> None:
    assert names(extra) & RUNTIMES == {"onnxruntime-gpu"}


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - {"cpu", "all", "dev", *ON_GPU}))
def test_no_other_extra_decides_which_onnxruntime_it_is(extra: str) -> None:
    assert not names(extra) & RUNTIMES


@pytest.mark.parametrize("gpu", ON_GPU)
def test_everything_can_be_installed_for_a_gpu(gpu: str) -> None:
    assert names("asr", "diarization", "gateway", "models", gpu) & RUNTIMES == {"onnxruntime-gpu"}


def test_all_is_for_machines_without_a_gpu() -> None:
    assert names("all") & RUNTIMES == {"onnxruntime"}
    assert names("dev") & RUNTIMES == {"onnxruntime"}


@pytest.mark.parametrize(
    ("extra", "runtimes", "tensorrt"),
    [
        ("gpu-cu12", {"1.24.3": False, "1.24.4": True, "1.26.0": True, "1.27.0": False}, "tensorrt-cu12"),
        ("gpu-cu13", {"1.26.0": False, "1.27.0": True, "1.31.1": True, "1.32.0": False}, "tensorrt-cu13"),
    ],
)
def test_cuda_and_tensorrt_are_those_that_onnxruntime_links(
    extra: str, runtimes: dict[str, bool], tensorrt: str
) -> None:
    by_name = {requirement.name: requirement.specifier for requirement in required(extra)}
    assert {version: version in by_name["onnxruntime-gpu"] for version in runtimes} == runtimes
    assert "10.9.0" in by_name[tensorrt]
    assert "11.0.0" not in by_name[tensorrt]
