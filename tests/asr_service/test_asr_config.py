"""What the service makes of its flags."""

import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from asr_service.__main__ import main
from asr_service.config import AsrConfig
from asr_service.loading import cut_options
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
    ("flags", "workers", "in_flight"),
    [
        ({}, CORES, CORES + 2),
        ({"threads": CORES}, 1, 3),
        ({"threads": CORES * 4}, 1, 3),
        ({"parallel": 7}, 7, 9),
        ({"parallel": 2, "backlog": 1}, 2, 1),
    ],
)
def test_work_is_spread_over_the_cores(flags: dict[str, int], workers: int, in_flight: int) -> None:
    config = AsrConfig(**flags)
    assert (config.workers, config.utterances_in_flight) == (workers, in_flight)


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


def test_help_is_the_manual() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for flag in (
        "--model",
        "--precision",
        "--threads",
        "--parallel",
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
