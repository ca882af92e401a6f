"""Every recipe's tiny version goes the whole way on a CPU: exported, compared, and rewritten as TensorRT is given it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from asr_service.engines.commands import engines
from asr_service.engines.ort.refining import refine
from workbench import cases
from workbench.difference import differences
from workbench.exports import Exports
from workbench.loading import load
from workbench.predictions import Predictions
from workbench.recipes import RECIPES
from workbench.runtimes import answer, on_cpu

MOST = 1e-4
"""Relative error of a graph that is only written differently: sums come in another order."""

WITHOUT_JUDGE = {"whisper-encoder"}
"""Its decoder says nothing with random weights; test_whisper_recipe.py judges the real ones."""


@pytest.fixture
def folder(workbench_cache: Path) -> Path:
    return workbench_cache


@pytest.fixture(autouse=True)
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(folder))
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("name", RECIPES)
def test_the_cpu_computes_what_pytorch_does(name: str, folder: Path) -> None:
    """By mean squared errors below 1e-7, and by the recipe's own judge."""
    result = CliRunner().invoke(engines, ["compare", name, "--size", "tiny", "--runtime", "cpu"])
    assert result.exit_code == 0, result.output
    recipe = load(name, "tiny")
    with Predictions.read(folder / "predictions.npz") as predictions:
        batches = cases.all_ends(recipe.profile)
        assert predictions.cases() == batches
        assert len(batches) >= 3
        for case in batches:
            for runtime in ("pytorch-fp32", "cpu-fp32"):
                assert predictions.get(case, runtime).keys() == recipe.outputs.keys()
    judged = {line.split("\t")[1] for line in result.stdout.splitlines() if line.split("\t")[2] == ""}
    assert judged == ({cases.notation(case) for case in batches} if name not in WITHOUT_JUDGE else set())


@pytest.mark.parametrize("name", RECIPES)
def test_what_tensorrt_is_given_computes_the_same(name: str, tmp_path: Path) -> None:
    export = Exports().get(name, "tiny", lambda _: None)
    refined = tmp_path / "refined.onnx"
    refine(export.graph, refined, may_round=True)
    exported, rewritten = on_cpu(export.graph), on_cpu(refined)
    for case in cases.small(export.recipe.profile)[-2:]:
        inputs = export.recipe.sample(case, 0)
        before, after = answer(exported, inputs), answer(rewritten, inputs)
        for output, found in differences(before, after).items():
            assert found.problem == "", output
            assert found.token_agreement in {None, 1.0}, output
            assert found.relative_error is None or found.relative_error < MOST, output


def test_the_command_lists_all_of_them() -> None:
    result = CliRunner().invoke(engines, ["recipes"])
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == list(RECIPES)
    assert all(row[3] for row in rows)
