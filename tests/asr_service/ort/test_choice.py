"""Where a model runs, why, and who must act where it cannot run as asked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from asr_service.engines.ort.choice import Choice, resolve
from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.settings import Settings
from serving.errors import ModelUnavailable

GIB = 1 << 30
GPU = Gpu(0, "NVIDIA H200", (9, 0), "570.86.15", 140 * GIB, 139 * GIB)
WHOLE = Installation(
    onnxruntime="1.26.0",
    providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    packages={"onnxruntime-gpu": "1.26.0"},
    gpus=(GPU,),
    tensorrt="10.9.0",
)
NO_TENSORRT = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
CPU_ONLY = Installation(
    onnxruntime="1.31.1",
    providers=("CPUExecutionProvider",),
    packages={"onnxruntime": "1.31.1"},
    without_gpu="no GPU: NVIDIA's driver says Driver Not Loaded",
)


def graph(path: Path, *operators: str) -> Path:
    nodes = [helper.make_node(operator, ["x"], [f"y{number}"]) for number, operator in enumerate(operators)]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
        for name in ("x", *(f"y{number}" for number in range(len(operators))))
    ]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), path)
    return path


def refusal(settings: Settings, installation: Installation, *weights: Path) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        resolve(settings, installation, weights)
    return raised.value.message


def without(installation: Installation, **changed: Any) -> Installation:
    return replace(installation, **changed)


def test_auto_takes_the_fastest_and_says_so() -> None:
    assert resolve(Settings(), WHOLE) == Choice("tensorrt", "the fastest here", GPU)


def test_auto_says_what_keeps_it_from_something_faster() -> None:
    choice = resolve(Settings(), without(WHOLE, missing={"tensorrt": NO_TENSORRT}))
    assert choice.provider == "cuda"
    assert choice.reason.startswith(f"no TensorRT: {NO_TENSORRT}; install the extra")


def test_auto_runs_on_the_cpu_where_there_is_no_gpu() -> None:
    assert resolve(Settings(), CPU_ONLY) == Choice("cpu", CPU_ONLY.without_gpu)


def test_auto_on_a_gpu_with_the_cpu_package_says_what_is_missing() -> None:
    choice = resolve(Settings(), without(CPU_ONLY, gpus=(GPU,), without_gpu=""))
    assert choice.provider == "cpu"
    assert "the installed ONNX Runtime 1.31.1 was built without it" in choice.reason


def test_the_cpu_can_be_asked_for_anywhere() -> None:
    assert resolve(Settings(provider="cpu"), WHOLE) == Choice("cpu", "asked for")


@pytest.mark.parametrize("provider", ["tensorrt", "cuda"])
def test_a_gpu_provider_without_a_gpu_is_refused(provider: Any) -> None:
    assert CPU_ONLY.without_gpu in refusal(Settings(provider=provider), CPU_ONLY)


@pytest.mark.parametrize(
    ("settings", "changed", "told"),
    [
        ({"provider": "tensorrt"}, {"missing": {"tensorrt": NO_TENSORRT}}, "libnvinfer.so.10"),
        ({"provider": "cuda"}, {"missing": {"cuda": "libcudnn.so.9: not found"}}, "libcudnn.so.9"),
        ({"provider": "cuda"}, {"providers": ("CPUExecutionProvider",)}, "gpu-cu12 or gpu-cu13"),
        ({"provider": "cuda", "device_id": 1}, {}, "there is no GPU 1, the last is 0; correct --device-id"),
        (
            {"provider": "tensorrt", "precision": "bf16"},
            {"gpus": (replace(GPU, compute_capability=(7, 5)),)},
            "no bf16; choose --engine-precision fp16",
        ),
        (
            {"provider": "cuda"},
            {"gpus": (replace(GPU, free=GIB // 2),)},
            r"GPU 0 \(NVIDIA H200\) has 0.5 of 140.0 GiB free, and this model needs at least 1.0",
        ),
    ],
)
def test_what_was_asked_for_and_cannot_be_had_is_refused(
    settings: Mapping[str, Any], changed: Mapping[str, Any], told: str
) -> None:
    with pytest.raises(ModelUnavailable, match=told):
        resolve(Settings(**settings), without(WHOLE, **changed))


@pytest.mark.parametrize(
    "operator", ["DynamicQuantizeLinear", "QuantizeLinear", "MatMulInteger", "ConvInteger"]
)
def test_8_bit_weights_are_refused_with_tensorrt(tmp_path: Path, operator: str) -> None:
    good, bad = (
        graph(tmp_path / "decoder.onnx", "Relu"),
        graph(tmp_path / "encoder.int8.onnx", "Relu", operator),
    )
    told = refusal(Settings(provider="tensorrt"), WHOLE, good, bad)
    assert "encoder.int8.onnx" in told
    assert "decoder.onnx" not in told
    assert "fp32 files" in told


def test_auto_runs_8_bit_weights_on_the_cpu(tmp_path: Path) -> None:
    choice = resolve(Settings(), WHOLE, [graph(tmp_path / "encoder.int8.onnx", "DynamicQuantizeLinear")])
    assert choice.provider == "cpu"
    assert "8-bit" in choice.reason


def test_memory_is_counted_with_the_weights_beside_the_graph(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1 << 12], bytes(4 << 12), raw=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1 << 12]) for name in "xy"]
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], [weights])),
        tmp_path / "encoder.onnx",
        save_as_external_data=True,
        location="encoder.weights",
    )
    tight = without(WHOLE, gpus=(replace(GPU, free=GIB + (4 << 12)),))
    refusal(Settings(provider="cuda"), tight, tmp_path / "encoder.onnx")
    # Half of it, as TensorRT's engine stores the weights, would fit.
    assert resolve(Settings(provider="tensorrt"), tight, [tmp_path / "encoder.onnx"]).provider == "tensorrt"


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"not a model")
    assert "encoder.onnx is not a readable ONNX file" in refusal(
        Settings(provider="cuda"), WHOLE, tmp_path / "encoder.onnx"
    )


def test_both_packages_of_onnxruntime_at_once_are_refused_even_on_the_cpu() -> None:
    twice = without(WHOLE, packages={"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.26.0"})
    told = refusal(Settings(provider="cpu"), twice)
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.26.0 are both installed" in told
    assert "pip uninstall --yes onnxruntime onnxruntime-gpu" in told


def test_a_missing_onnxruntime_is_told_with_the_command() -> None:
    assert "pip install 'duoscribe[cpu]'" in refusal(Settings(provider="cpu"), Installation())
