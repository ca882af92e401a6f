"""`duoscribe engines compare`: what it writes, and when it ends with exit code 1."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from asr_service.engines.commands import engines
from support import toy_recipe
from workbench.export import GRAPH, export

TOY = Path(toy_recipe.__file__)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(recipe: Path, *arguments: str) -> Result:
        return CliRunner().invoke(
            engines, ["compare", str(recipe), "--size", "tiny", "--runtime", "cpu", *arguments]
        )

    return run


def edited(tmp_path: Path, before: str, after: str) -> Path:
    path, text = tmp_path / "mine.py", TOY.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return path


def test_the_command_writes_figures_and_predictions(command: Callable[..., Result], tmp_path: Path) -> None:
    result = command(TOY)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("cpu-fp32\t1x8\tout\tpytorch-fp32\trelative error ")
    figures = json.loads((tmp_path / "compare.json").read_text())
    assert [each["backend"] for each in figures["runtimes"]] == ["pytorch", "cpu"]
    assert [each["case"] for each in figures["findings"][::3]] == [
        "1x8",
        "4x8",
        "2x20",
        "1x40",
        "3x20",
        "4x40",
    ]
    assert figures["broken"] == []
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert arrays["4x40/pytorch-fp32/out"].shape == (4, 40, 3)
        assert arrays["4x40/inputs/x"].shape == (4, 40, 4)


def test_the_command_ends_with_1_where_a_bound_is_broken(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    result = command(edited(tmp_path, "share, 0.9,", "share, 1.5,"))
    assert result.exit_code == 1
    assert "broken: cpu-fp32 1x8: best agree 1, at least 1.5" in result.stderr
    assert json.loads((tmp_path / "compare.json").read_text())["broken"]


def test_the_command_takes_batches_and_another_runs_references(command: Callable[..., Result]) -> None:
    assert command(TOY, "--batch", "2x10,3x33").exit_code == 0
    result = command(TOY, "--reference", "predictions.npz", "--predictions", "later.npz")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reference", "mine.npz", "--predictions", "./mine.npz"), "needs another file for --predictions"),
        (("--reference", "mine.npz", "--batch", "1x8"), "--reference has batches of its own"),
        (("--batch", "8"), "'8' is not like 8x2.5, rows and length"),
        (("--runtime", "trt"), "'trt' is no runtime"),
    ],
)
def test_what_contradicts_itself_is_a_mistake_of_use(
    command: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "mine.npz").touch()
    result = command(TOY, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_file_that_holds_no_predictions_is_told(command: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"PK, but no archive")
    result = command(TOY, "--reference", "mine.npz")
    assert result.exit_code == 1
    assert "Error: mine.npz holds no predictions" in result.stderr


def test_a_recipe_of_a_file_alone_is_compared_with_the_cpu(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    export(toy_recipe.recipe("tiny"), tmp_path)
    mine = edited(
        tmp_path,
        "network=network",
        f"graph=lambda path: path.write_bytes(Path({str(tmp_path / GRAPH)!r}).read_bytes())",
    )
    mine.write_text(
        mine.read_text().replace("import numpy as np", "from pathlib import Path\n\nimport numpy as np")
    )
    result = command(mine)
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert {name.split("/")[1] for name in arrays} == {"inputs", "cpu-fp32"}
