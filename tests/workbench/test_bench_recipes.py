"""All recipes are timed on this machine's CPU, small; and the command, in processes of its own."""

import json
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from asr_service.engines.commands import engines
from asr_service.engines.ort.devices import Gpu, Installation
from asr_service.engines.ort.providers import CPU, CUDA, TENSORRT
from serving.errors import ModelUnavailable
from support import toy_recipe
from support.benching import die
from workbench.benching.errand import Errand, carry_out, in_own_process
from workbench.benching.opening import available
from workbench.benching.row import read
from workbench.benching.timing import Budget
from workbench.loading import load
from workbench.recipe import Case
from workbench.recipes import RECIPES
from workbench.runtimes import parse_kind

TOY = toy_recipe.__file__


@pytest.fixture(autouse=True)
def cache(workbench_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where recipes are exported, also by processes that are started."""
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(workbench_cache))


def errand(recipe: str, kind: str, csv: Path) -> Errand:
    return Errand(recipe, "tiny", parse_kind(kind), csv, Budget(0), time.monotonic() + 600)


GPU = Gpu(0, "NVIDIA H200", (9, 0), "570.86", total=150 << 30, free=149 << 30)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("machine", "runtimes"),
    [
        (Installation(providers=[CPU]), ["pytorch-fp32", "cpu-fp32"]),
        (
            Installation(providers=[TENSORRT, CUDA, CPU], gpus=(GPU,)),
            ["pytorch-fp32", "cuda-tf32", "tensorrt-fp16"],
        ),
        (
            Installation(
                providers=[TENSORRT, CUDA, CPU], gpus=(GPU,), missing={"tensorrt": "libnvinfer.so.10"}
            ),
            ["pytorch-fp32", "cuda-tf32"],
        ),
        (Installation(), ["pytorch-fp32"]),
    ],
    ids=["cpu", "gpu", "gpu-without-tensorrt", "pytorch-alone"],
)
def test_what_a_machine_has_is_timed_unless_asked_otherwise(
    machine: Installation, runtimes: list[str]
) -> None:
    """PyTorch here is a build without CUDA, so it computes on the CPU, in single precision."""
    assert [str(kind) for kind in available(machine)] == runtimes


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_timed_on_pytorch_and_on_cpus(recipe: str, tmp_path: Path) -> None:
    csv = tmp_path / "bench.csv"
    for kind in ("pytorch-fp32", "cpu"):
        assert carry_out(errand(recipe, kind, csv))
    rows, cases = read(csv), load(recipe, "tiny").walk.cases
    assert [(row.backend, row.case) for row in rows] == [
        (backend, case) for backend in ("pytorch", "cpu") for case in cases
    ]
    assert {row.outcome for row in rows} == {"measured"}
    assert all(row.audio_s_per_s and row.audio_s_per_s > 0 for row in rows)


def test_the_command_times_every_runtime_and_profiles_its_layers(tmp_path: Path) -> None:
    csv, layers = tmp_path / "bench.csv", tmp_path / "layers"
    options = ["--size", "tiny", "--csv", str(csv), "--seconds", "0", "--threads", "1", "--rows", "3,1"]
    result = CliRunner().invoke(engines, ["bench", TOY, *options, "--layers", str(layers)])
    assert result.exit_code == 0, result.output
    assert [(row.runtime, row.case) for row in read(csv)] == [
        (runtime, Case(rows, length))
        for runtime in ("pytorch-fp32", "cpu-fp32")
        for length in (8, 40)
        for rows in (1, 3)
    ]
    (torch_row, *_, cpu_row) = read(csv)
    assert torch_row.torch
    assert cpu_row.onnxruntime
    for name in ("pytorch", "cpu"):
        held = json.loads((layers / f"toy-tiny-{name}-fp32.json").read_text())
        assert (held["backend"], held["rows"], held["length"]) == (name, 2, 20)
        assert held["layers"][0]["share"] > 0


def test_a_runtime_that_is_not_there_fails_and_the_others_run(tmp_path: Path) -> None:
    csv = tmp_path / "bench.csv"
    options = ["--size", "tiny", "--csv", str(csv), "--seconds", "0", "--runtime", "cuda,cpu"]
    result = CliRunner().invoke(engines, ["bench", TOY, *options])
    assert result.exit_code == 1
    assert "cuda-tf32: the installed ONNX Runtime" in result.stderr
    assert {row.runtime for row in read(csv)} == {"cpu-fp32"}


def test_a_process_that_dies_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="the process that ran cpu-fp32 died"):
        in_own_process(errand(TOY, "cpu", tmp_path / "bench.csv"), die)


def test_a_walk_without_time_left_says_how_it_goes_on(tmp_path: Path) -> None:
    options = ["--size", "tiny", "--csv", str(tmp_path / "bench.csv"), "--runtime", "cpu", "--limit", "0"]
    result = CliRunner().invoke(engines, ["bench", TOY, *options])
    assert result.exit_code == 0, result.output
    assert "cpu-fp32: out of time; the same command goes on with what is left" in result.stderr


@pytest.mark.parametrize(
    ("option", "said"), [(["--runtime", "tpu"], "'tpu' is no runtime"), (["--rows", "x"], "invalid literal")]
)
def test_options_that_cannot_be_read_are_refused(option: list[str], said: str) -> None:
    result = CliRunner().invoke(engines, ["bench", TOY, *option])
    assert result.exit_code == 2
    assert said in result.stderr
