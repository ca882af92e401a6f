"""From a recipe to an ONNX file: what is written, what is checked, and when it is written anew."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from asr_service.engines.commands import engines
from serving.errors import ModelUnavailable
from support import toy_recipe
from workbench.export import GRAPH, export
from workbench.exports import Exports
from workbench.recipe import Recipe

TOY = toy_recipe.__file__


@pytest.fixture
def toy() -> Recipe:
    return toy_recipe.recipe("tiny")


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path / "workbench")


def told(_: str) -> None: ...


class Forgetful(torch.nn.Module):
    """A trace keeps one branch, that of the example."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        out = x[:, :, :3] * (2 if x.shape[1] > 30 else 1)
        return out, out.argmax(dim=2), torch.div(lengths, 2, rounding_mode="floor")


class Fitted(Forgetful):
    """A trace keeps the example's length."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        return super().forward(x + torch.zeros(1, int(x.shape[1]), 1), lengths)


def test_the_file_has_the_recipes_names_and_axes(toy: Recipe, tmp_path: Path) -> None:
    export(toy, tmp_path)
    graph = onnx.load(tmp_path / GRAPH).graph
    assert [value.name for value in graph.input] == list(toy.inputs)
    assert [value.name for value in graph.output] == list(toy.outputs)
    x, lengths = (value.type.tensor_type.shape.dim for value in graph.input)
    assert [axis.dim_param or axis.dim_value for axis in x] == ["N", "T", 4]
    assert [axis.dim_param for axis in lengths] == ["N"]


def test_the_report_states_the_opset_and_every_output_of_every_batch(toy: Recipe, tmp_path: Path) -> None:
    report = export(toy, tmp_path)
    assert report.opset == 17
    assert report.bytes == (tmp_path / GRAPH).stat().st_size
    assert [(check.case, check.output) for check in report.checks] == [
        (case, output) for case in ("1x8", "2x20", "3x20", "1x40") for output in toy.outputs
    ]
    assert all(check.is_well for check in report.checks)


def test_a_file_that_computes_something_else_for_another_length_is_refused(
    toy: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailable) as raised:
        export(replace(toy, network=Forgetful), tmp_path)
    assert "the ONNX file of toy does not compute what PyTorch does: 1x40 out" in raised.value.message
    assert "2x20 out" not in raised.value.message


def test_a_file_that_fits_one_length_only_is_refused(toy: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cpu-fp32 cannot compute 1x8"):
        export(replace(toy, network=Fitted), tmp_path)


def nudged(by: float) -> Callable[[Path], None]:
    """Writes the toy's own graph, one bias changed."""

    def write(path: Path) -> None:
        export(toy_recipe.recipe("tiny"), path.parent)
        model = onnx.load(path)
        (bias,) = (weight for weight in model.graph.initializer if list(weight.dims) == [3])
        bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + np.float32(by)).tobytes()
        onnx.save(model, path)

    return write


def test_a_recipes_own_graph_is_compared_with_its_network(toy: Recipe, tmp_path: Path) -> None:
    assert len(export(replace(toy, graph=nudged(1e-6)), tmp_path).checks) == 12
    with pytest.raises(ModelUnavailable, match="mean squared error"):
        export(replace(toy, graph=nudged(1e-2)), tmp_path)


def test_a_file_without_a_network_is_taken_as_it_is(toy: Recipe, tmp_path: Path) -> None:
    assert export(replace(toy, network=None, graph=nudged(1.0)), tmp_path).checks == ()


def test_a_file_with_other_outputs_than_the_recipe_says_is_refused(toy: Recipe, tmp_path: Path) -> None:
    wrong = replace(toy, network=None, graph=nudged(0.0), outputs={"logits": {0: "N"}})
    with pytest.raises(ModelUnavailable, match=r"gives \['best', 'halves', 'out'\], and its recipe says"):
        export(wrong, tmp_path)


def test_a_recipe_needs_a_network_or_a_graph(toy: Recipe) -> None:
    with pytest.raises(ValueError, match="neither a network nor a graph"):
        replace(toy, network=None)


def test_what_is_there_is_left_alone(exports: Exports) -> None:
    made = exports.get(TOY, "tiny", told)
    before = made.graph.stat().st_mtime_ns
    assert exports.get(TOY, "tiny", told).graph.stat().st_mtime_ns == before


def test_a_recipe_that_was_edited_is_exported_anew(exports: Exports, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(Path(TOY).read_text())
    before = exports.get(str(mine), "tiny", told).fingerprint
    mine.write_text(Path(TOY).read_text().replace("manual_seed(0)", "manual_seed(1)"))
    assert exports.get(str(mine), "tiny", told).fingerprint != before


def test_a_damaged_file_is_exported_anew(exports: Exports) -> None:
    made = exports.get(TOY, "tiny", told)
    made.graph.write_bytes(b"")
    assert exports.get(TOY, "tiny", told).graph.stat().st_size > 0


def test_nothing_is_kept_of_an_export_that_failed(exports: Exports, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        Path(TOY)
        .read_text()
        .replace('"halves": {0: "N"}', '"thirds": {0: "N"}')
        .replace("network=network", "network=None, graph=lambda path: path.write_bytes(b'')")
    )
    with pytest.raises(ModelUnavailable, match="cannot load"):
        exports.get(str(mine), "tiny", told)
    assert [path.name for path in exports.root.iterdir()] == [".toy-tiny.lock"]


def test_the_command_tells_the_file_and_its_errors(exports: Exports) -> None:
    result = CliRunner().invoke(engines, ["export", TOY, "--size", "tiny"], obj=exports)
    assert result.exit_code == 0, result.output
    *checks, last = result.stdout.splitlines()
    assert len(checks) == 12
    assert checks[0].startswith("1x8\tout\trelative error ")
    assert checks[1] == "1x8\tbest\t100.00% agree"
    assert last.startswith(f"{exports.root / 'toy-tiny' / GRAPH}: opset 17, ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jazzper", "Error: there is no recipe 'jazzper': name one of conformer, "),
        ("none.py", "Error: there is no recipe 'none.py'"),
        (__file__, "has no function recipe(size) that gives a workbench.recipe.Recipe"),
    ],
)
def test_what_is_no_recipe_is_told_in_one_line(exports: Exports, text: str, message: str) -> None:
    result = CliRunner().invoke(engines, ["export", text], obj=exports)
    assert result.exit_code == 1
    assert message in result.stderr
