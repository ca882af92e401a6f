"""What the service makes of its flags."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from asr_service.__main__ import main
from asr_service.config import AsrConfig
from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.settings import Settings
from asr_service.loading import cut_options, scheduling_limits
from serving.cores import cores
from support.recognition import INFO

# None in sys.modules is a package that is not installed.
WITHOUT_ITS_EXTRA = """
import runpy, sys
sys.modules["sherpa_onnx"] = None
runpy.run_module("asr_service", run_name="__main__")
"""
CORES = cores()


@pytest.mark.parametrize(
    ("flags", "info", "parallel", "backlog"),
    [
        ({}, {}, CORES, CORES + 2),
        ({"threads": CORES}, {}, 1, 3),
        ({"threads": CORES * 4}, {}, 1, 3),
        ({"parallel": 7}, {}, 7, 9),
        ({"parallel": 2, "backlog": 1}, {}, 2, 1),
        ({}, {"parallel": 2, "max_batch": 4}, 2, 10),
        ({"parallel": 1}, {"parallel": 2, "max_batch": 128}, 1, 34),
        ({"parallel": 64}, {}, 64, 66),
    ],
)
def test_as_much_is_decoded_at_once_as_suits_the_engine(
    flags: dict[str, Any], info: dict[str, Any], parallel: int, backlog: int
) -> None:
    limits = scheduling_limits(AsrConfig(**flags), replace(INFO, **info))
    assert (limits.parallel, limits.backlog) == (parallel, backlog)


@pytest.mark.parametrize(
    ("configured", "taken", "expected"), [(0, 1, 1), (0, 32, 32), (8, 32, 8), (64, 32, 32), (1, 32, 1)]
)
def test_no_batch_is_larger_than_the_engine_takes(configured: int, taken: int, expected: int) -> None:
    limits = scheduling_limits(AsrConfig(max_batch=configured), replace(INFO, max_batch=taken))
    assert limits.max_batch == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, 64),
        ({"max_streams": 100}, 400),
        ({"max_streams": 1, "parallel": 3}, 48),
        ({"max_queue": 5}, 5),
    ],
)
def test_the_queue_holds_a_few_utterances_of_each_stream_or_two_full_batches(
    flags: dict[str, Any], expected: int
) -> None:
    limits = scheduling_limits(AsrConfig(**flags | {"max_batch": 8}), replace(INFO, max_batch=8, parallel=2))
    assert limits.max_queue == expected


@pytest.mark.parametrize(
    ("window", "preferred", "limit", "expected"),
    [(0.0, 25.0, 30.0, 25.0), (10.0, 25.0, 30.0, 10.0), (60.0, 25.0, 29.0, 28.7), (0.0, 30.0, 30.0, 29.7)],
)
def test_no_window_is_longer_than_the_model_takes(
    window: float, preferred: float, limit: float, expected: float
) -> None:
    info = replace(INFO, preferred_seconds=preferred, max_seconds=limit)
    options = cut_options(AsrConfig(window_seconds=window), info)
    assert options.window == pytest.approx(expected)
    assert options.longest <= limit


def test_a_window_too_short_to_look_for_a_pause_in_is_refused() -> None:
    result = CliRunner().invoke(main, ["--window-seconds", "0.2"])
    assert result.exit_code == 2
    assert "window_seconds must be 0 or at least 1" in result.output


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--profile", "many", "'many' is no profile: ROWSxSECONDS"),
        ("--profile", "8:4x30", "must rise from above 0"),
        ("--provider-option", "trt_x", "write NAME=VALUE"),
    ],
)
def test_a_mistyped_option_of_the_engine_is_refused(flag: str, value: str, told: str) -> None:
    result = CliRunner().invoke(main, [flag, value])
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_sherpa_onnx_cannot_be_told_to_use_a_gpu(provider: str) -> None:
    result = CliRunner().invoke(main, ["--provider", provider])
    assert result.exit_code == 2
    assert f"for provider {provider} choose engine ort" in result.output


def test_the_engine_on_onnxruntime_is_told_what_the_flags_say() -> None:
    config = AsrConfig(
        engine="ort",
        provider="tensorrt",
        device_id=1,
        threads=2,
        profile=("8:32x30", "4x80"),
        engine_precision="bf16",
        build_engines=True,
        provider_option=("trt_builder_optimization_level=5", "gpu_mem_limit = 1"),
    )
    assert config.ort == Settings(
        "tensorrt",
        1,
        2,
        (parse("1:8:32x0.5:30:30"), parse("1:4:4x0.5:80:80")),
        "bf16",
        True,
        options={"trt_builder_optimization_level": "5", "gpu_mem_limit": "1"},
    )


def test_by_default_sherpa_onnx_runs_the_model() -> None:
    assert AsrConfig().engine == "sherpa"
    assert AsrConfig().ort == Settings()


def test_help_is_the_manual() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for flag in (
        "--model",
        "--precision",
        "--threads",
        "--parallel",
        "--max-batch",
        "--metrics-address",
        "--provider",
        "--profile",
        "--build-engines",
        "--vad-threshold",
        "DUOSCRIBE_ASR_MODEL",
    ):
        assert flag in result.output


def test_without_its_extra_the_service_says_what_to_install() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_ITS_EXTRA], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "the package sherpa_onnx is missing: pip install 'duoscribe[asr]'\n"
