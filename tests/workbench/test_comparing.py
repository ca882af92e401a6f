"""What counts as the same: outputs of a runtime against PyTorch's and the CPU's, and a recipe's own judge."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelUnavailable
from support import toy_recipe
from workbench.comparing import REFERENCES, Comparing
from workbench.export import GRAPH, export
from workbench.predictions import INPUTS, Predictions
from workbench.recipe import Array, Case, Recipe, Verdict
from workbench.runtimes import Kind, Runtime, on_cpu
from workbench.torch_runtime import TorchRuntime

PYTORCH, CPU = REFERENCES
FP16 = Kind("tensorrt", "fp16")
SMALL, LARGE = Case(1, 8), Case(4, 40)

Distort = Callable[[Array], Array]


@dataclass
class Played:
    """A runtime that computes what the CPU does, but for some outputs."""

    kind: Kind
    runtime: Runtime
    distortions: Mapping[str, Distort]

    def place(self, inputs: Any) -> Any:
        return self.runtime.place(inputs)

    def run(self, inputs: Any) -> Any:
        return self.runtime.run(inputs)

    def synchronise(self) -> None:
        self.runtime.synchronise()

    def fetch(self, outputs: Any) -> dict[str, Any]:
        fetched = self.runtime.fetch(outputs)
        return fetched | {name: distort(fetched[name]) for name, distort in self.distortions.items()}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    export(toy_recipe.recipe("tiny"), folder)
    return folder / GRAPH


@pytest.fixture
def toy() -> Recipe:
    return toy_recipe.recipe("tiny")


@pytest.fixture
def predictions(tmp_path: Path) -> Iterator[Predictions]:
    with Predictions.create(tmp_path / "predictions.npz") as held:
        yield held


@dataclass
class Desk:
    """Compares the toy; `opened` are the runtimes that were asked for."""

    recipe: Recipe
    predictions: Predictions
    graph: Path
    distortions: Mapping[str, Distort]

    def __post_init__(self) -> None:
        self.opened: list[Kind] = []
        self.comparing = Comparing(self.recipe, self.predictions, self._open, lambda _: None)

    def _open(self, kind: Kind) -> Runtime:
        self.opened.append(kind)
        if kind == PYTORCH:
            return TorchRuntime(self.recipe, "fp32", "cpu", threads=1)
        if kind.backend == "cuda":
            raise ModelUnavailable("no CUDA: no GPU")
        return Played(kind, on_cpu(self.graph, threads=1), self.distortions if kind == FP16 else {})

    def compare(self, *kinds: Kind) -> Any:
        self.comparing.sample([SMALL, LARGE])
        for kind in kinds:
            self.comparing.run(kind)
        return self.comparing.found


@pytest.fixture
def make(toy: Recipe, predictions: Predictions, graph: Path) -> Callable[..., Desk]:
    def made(recipe: Recipe = toy, **distortions: Distort) -> Desk:
        return Desk(recipe, predictions, graph, distortions)

    return made


def test_each_output_of_each_batch_is_compared_with_both_references(make: Callable[..., Desk]) -> None:
    found = make().compare(PYTORCH, CPU, FP16)
    assert [(each.case, each.runtime, each.reference, each.output) for each in found.findings] == [
        *(
            (case, "cpu-fp32", "pytorch-fp32", output)
            for case in ("1x8", "4x40")
            for output in ("out", "best", "halves")
        ),
        *(
            (case, "tensorrt-fp16", reference, output)
            for case in ("1x8", "4x40")
            for reference in ("pytorch-fp32", "cpu-fp32")
            for output in ("out", "best", "halves")
        ),
    ]
    assert found.broken == []


@pytest.mark.parametrize(
    ("distortion", "words"),
    [
        ({"out": lambda out: out * 1.05}, "out against pytorch-fp32: relative error 0.05"),
        (
            {"out": lambda out: out[:, :-1]},
            "out against pytorch-fp32: has shape (1, 7, 3) instead of (1, 8, 3)",
        ),
        (
            {"out": lambda out: out * np.float32("nan")},
            "out against pytorch-fp32: has numbers that are not finite",
        ),
        ({"halves": lambda halves: halves + 1}, "halves against pytorch-fp32: 0.00% agree"),
        ({"best": lambda best: best + 1}, "best agree 0, at least 0.9"),
    ],
)
def test_what_differs_is_broken_and_named(
    make: Callable[..., Desk], distortion: dict[str, Distort], words: str
) -> None:
    broken = make(**distortion).compare(PYTORCH, CPU, FP16).broken
    assert f"tensorrt-fp16 1x8: {words}" in [line.partition(", mean")[0] for line in broken]
    assert not any(line.startswith("cpu") for line in broken)


def test_rounding_is_no_difference(make: Callable[..., Desk]) -> None:
    rounded = make(out=lambda out: out.astype(np.float16).astype(np.float32))
    assert rounded.compare(PYTORCH, CPU, FP16).broken == []


def test_each_precision_has_its_own_bound(make: Callable[..., Desk], toy: Recipe) -> None:
    strict = replace(toy, relative_error={"fp32": 1e-2, "fp16": 1e-5, "bf16": 1e-1})
    rounded = make(strict, out=lambda out: out.astype(np.float16).astype(np.float32))
    assert len(rounded.compare(PYTORCH, CPU, FP16).broken) == 4


def test_references_must_agree_as_an_export_has_to(make: Callable[..., Desk], toy: Recipe) -> None:
    """An error of a thousandth is within an engine's bounds, and no rounding of single precision."""

    def nudged() -> Any:
        network = toy_recipe.network()
        network.out.bias.data.add_(1e-3)
        return network

    broken = make(replace(toy, network=nudged)).compare(PYTORCH, CPU).broken
    assert [line.partition(": relative")[0] for line in broken] == [
        "cpu-fp32 1x8: out against pytorch-fp32",
        "cpu-fp32 4x40: out against pytorch-fp32",
    ]


def test_without_a_judge_rows_of_tokens_have_a_bound(make: Callable[..., Desk], toy: Recipe) -> None:
    broken = make(replace(toy, judge=None), best=lambda best: best + 1).compare(PYTORCH, CPU, FP16).broken
    assert "tensorrt-fp16 1x8: best against cpu-fp32: 0.00% agree" in broken


def test_a_judge_is_given_inputs_and_pytorchs_outputs(make: Callable[..., Desk], toy: Recipe) -> None:
    def judge(inputs: Any, expected: Any, got: Any) -> list[Verdict]:
        assert inputs["x"].shape[:2] == expected["best"].shape
        return [Verdict("largest", float(np.abs(got["out"] - expected["out"]).max()), 1.0)]

    found = make(replace(toy, judge=judge), out=lambda out: out + 2).compare(PYTORCH, FP16)
    assert [round(each.verdict.value, 3) for each in found.judgements] == [2.0, 2.0]
    assert "tensorrt-fp16 1x8: largest 2, at most 1" in found.broken


def test_a_runtime_that_cannot_be_had_breaks_the_comparison_and_not_the_others(
    make: Callable[..., Desk],
) -> None:
    found = make().compare(PYTORCH, Kind("cuda", "tf32"), CPU)
    assert found.broken == ["cuda-tf32: no CUDA: no GPU"]
    assert len(found.findings) == 6


def test_a_batch_that_cannot_be_computed_is_broken(make: Callable[..., Desk]) -> None:
    def only_small(out: Array) -> Array:
        if len(out) > 1:
            raise RuntimeError("no kernel\nfor this shape")
        return out

    found = make(out=only_small).compare(PYTORCH, CPU, FP16)
    assert found.broken == ["tensorrt-fp16 cannot compute 4x40: no kernel for this shape"]
    assert {each.case for each in found.findings if each.runtime == "tensorrt-fp16"} == {"1x8"}


def test_batches_without_time_are_told(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.comparing = replace(desk.comparing, seconds=-1.0)
    found = desk.compare(PYTORCH)
    assert found.left_out == ["1x8 pytorch-fp32", "4x40 pytorch-fp32"]
    assert found.broken == []


def test_another_runs_references_take_the_place_of_pytorch(
    make: Callable[..., Desk], tmp_path: Path, toy: Recipe, graph: Path
) -> None:
    make().compare(PYTORCH, CPU)
    with Predictions.create(tmp_path / "later.npz") as later:
        desk = Desk(toy, later, graph, {"out": lambda out: out + 1})
        first = make().predictions
        assert desk.comparing.take(first) == list(REFERENCES)
        desk.comparing.run(FP16)
        assert desk.opened == [FP16]
        np.testing.assert_array_equal(later.get(LARGE, INPUTS)["x"], first.get(LARGE, INPUTS)["x"])
    broken = desk.comparing.found.broken
    assert len(broken) == 4
    assert broken[0].startswith("tensorrt-fp16 1x8: out against pytorch-fp32: relative error")
