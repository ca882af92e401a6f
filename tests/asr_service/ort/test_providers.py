"""Options of execution providers: what each wish becomes in ONNX Runtime's own terms."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.providers import CPU, CUDA, TENSORRT, Request, placement, precompiled
from asr_service.engines.ort.settings import EnginePrecision, parse_options
from asr_service.engines.ort.shapes import FeatureLayout, shape_ranges
from serving.errors import ModelUnavailable

FOLDER = Path("/cache/engines/abc")
SHAPES = shape_ranges(
    {"x": (None, None, 80), "x_lens": (None,)},
    FeatureLayout(80, 1, lambda samples: samples // 160),
    parse("1:8:32x0.5:10:30"),
)
REQUEST = Request(
    provider="tensorrt", onnxruntime=(1, 26, 0), device_id=1, shapes=SHAPES, folder=FOLDER, workspace=2 << 30
)


def options(name: str, **changed: Any) -> dict[str, str]:
    return dict(dict(placement(replace(REQUEST, **changed)).providers)[name])


def test_tensorrt_comes_first_and_cuda_behind_it() -> None:
    placed = placement(REQUEST)
    assert [name for name, _ in placed.providers] == [TENSORRT, CUDA]
    assert (placed.device, placed.device_id) == ("cuda", 1)


def test_cuda_and_cpu_have_nothing_behind_them() -> None:
    assert [name for name, _ in placement(replace(REQUEST, provider="cuda")).providers] == [CUDA]
    on_cpu = placement(replace(REQUEST, provider="cpu", threads=4))
    assert [name for name, _ in on_cpu.providers] == [CPU]
    assert (on_cpu.device, on_cpu.threads) == ("cpu", 4)


def test_every_dynamic_input_has_its_three_shapes() -> None:
    chosen = options(TENSORRT)
    assert chosen["trt_profile_min_shapes"] == "x:1x50x80,x_lens:1"
    assert chosen["trt_profile_opt_shapes"] == "x:8x1000x80,x_lens:8"
    assert chosen["trt_profile_max_shapes"] == "x:32x3000x80,x_lens:32"


def test_engines_and_timings_are_kept_in_the_folder() -> None:
    chosen = options(TENSORRT)
    assert chosen["trt_engine_cache_enable"] == chosen["trt_timing_cache_enable"] == "True"
    assert chosen["trt_engine_cache_path"] == chosen["trt_timing_cache_path"] == str(FOLDER)
    assert chosen["trt_max_workspace_size"] == str(2 << 30)
    assert chosen["device_id"] == "1"


@pytest.mark.parametrize(
    ("precision", "fp16", "bf16", "layer_norm_fp32"),
    [
        ("fp16", "True", "False", "True"),
        ("bf16", "False", "True", "True"),
        ("fp32", "False", "False", "False"),
    ],
)
def test_precision(precision: EnginePrecision, fp16: str, bf16: str, layer_norm_fp32: str) -> None:
    chosen = options(TENSORRT, precision=precision)
    assert (chosen["trt_fp16_enable"], chosen["trt_bf16_enable"]) == (fp16, bf16)
    assert chosen["trt_layer_norm_fp32_fallback"] == layer_norm_fp32


def test_only_fp32_forbids_tf32_on_cuda() -> None:
    assert options(CUDA, provider="cuda", precision="fp32")["use_tf32"] == "False"
    assert options(CUDA, provider="cuda", precision="fp16")["use_tf32"] == "True"


def test_the_arena_grows_by_what_is_asked_for_and_no_algorithm_is_tried_out_in_requests() -> None:
    chosen = options(CUDA)
    assert chosen["arena_extend_strategy"] == "kSameAsRequested"
    assert chosen["cudnn_conv_algo_search"] == "HEURISTIC"


def test_options_that_this_onnxruntime_does_not_know_are_left_out() -> None:
    old = (1, 17, 1)
    assert "trt_bf16_enable" not in options(TENSORRT, onnxruntime=old)
    assert "use_tf32" not in options(CUDA, onnxruntime=old)
    assert "use_tf32" in options(CUDA)


def test_bf16_is_refused_where_onnxruntime_does_not_know_it() -> None:
    with pytest.raises(ModelUnavailable, match=r"1\.23 or newer, and 1\.17\.1 is installed"):
        placement(replace(REQUEST, precision="bf16", onnxruntime=(1, 17, 1)))


def test_anything_can_be_overridden() -> None:
    overrides = parse_options(
        [
            "trt_max_workspace_size=123",
            "trt_builder_optimization_level=5",
            "trt_op_types_to_exclude=Range",
            "gpu_mem_limit=456",
            "cudnn_conv_algo_search=EXHAUSTIVE",
            "session.intra_op.allow_spinning=1",
        ]
    )
    placed = placement(replace(REQUEST, overrides=overrides))
    tensorrt, cuda = (values for _, values in placed.providers)
    assert tensorrt["trt_max_workspace_size"] == "123"
    assert tensorrt["trt_builder_optimization_level"] == "5"
    assert tensorrt["trt_op_types_to_exclude"] == "Range"
    assert (cuda["gpu_mem_limit"], cuda["cudnn_conv_algo_search"]) == ("456", "EXHAUSTIVE")
    assert placed.config["session.intra_op.allow_spinning"] == "1"
    assert not any(name.startswith("trt_") or "." in name for name in cuda)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("trt_fp16_enable", "--engine-precision"),
        ("device_id", "--device-id"),
        ("trt_profile_max_shapes", "--profile"),
        ("trt_engine_cache_path", "DUOSCRIBE_CACHE"),
    ],
)
def test_an_option_with_a_flag_of_its_own_is_refused(name: str, flag: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"{name} is no option.*{flag}"):
        placement(replace(REQUEST, overrides={name: "1"}))


@pytest.mark.parametrize("text", ["gpu_mem_limit", "=1", "", "  =2"])
def test_an_option_is_a_name_and_a_value(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_options([text])


def test_a_finished_engine_runs_on_tensorrt_or_not_at_all() -> None:
    placed = precompiled(REQUEST)
    assert placed.providers == ((TENSORRT, {"device_id": "1"}),)
    assert placed.config["session.disable_cpu_ep_fallback"] == "1"
    assert placed.device == "cuda"
