"""A recipe's ONNX file, kept only where ONNX Runtime computes on the CPU what PyTorch does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import onnx

from serving.errors import ModelUnavailable
from workbench import cases
from workbench.difference import Difference, differences
from workbench.recipe import Arrays, Case, Recipe
from workbench.runtimes import Runtime, answer, in_brief, on_cpu

GRAPH = "model.onnx"
MOST_SQUARED_ERROR = 1e-7
"""Mean over an output's numbers, in single precision."""
LEAST_AGREEMENT = 0.999
"""Of whole numbers: where two tokens are equally likely, rounding decides."""


@dataclass(frozen=True)
class Check:
    """One output for one batch."""

    case: str
    output: str
    difference: Difference

    @property
    def is_well(self) -> bool:
        found = self.difference
        if found.token_agreement is not None:
            return found.token_agreement >= LEAST_AGREEMENT
        return found.mean_squared_error is not None and found.mean_squared_error < MOST_SQUARED_ERROR

    def __str__(self) -> str:
        return f"{self.case} {self.output}: {self.difference}"


@dataclass(frozen=True)
class Report:
    recipe: str
    summary: str
    opset: int
    nodes: int
    bytes: int
    """Of the graph and its weights."""
    checks: tuple[Check, ...]
    """Empty where there is no network in PyTorch to compare with."""

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Self:
        """From what `dataclasses.asdict` and JSON make of one."""
        checks = (
            Check(**{**check, "difference": Difference(**check["difference"])}) for check in held["checks"]
        )
        return cls(**{**held, "checks": tuple(checks)})


def export(recipe: Recipe, folder: Path) -> Report:
    """Writes GRAPH into `folder`. Raises ModelUnavailable where it does not compute what the network does."""
    path = folder / GRAPH
    if recipe.network is not None:
        # One network for the trace and for all checks: making it can take longer than they do.
        network = recipe.network()
        recipe = replace(recipe, network=lambda: network)
    _write(recipe, path)
    runtime = on_cpu(path)
    _require_face(recipe, set(runtime.session.inputs), set(runtime.session.outputs))
    checks = tuple(_checks(recipe, runtime)) if recipe.network is not None else ()
    if broken := [check for check in checks if not check.is_well]:
        raise ModelUnavailable(
            f"the ONNX file of {recipe.name} does not compute what PyTorch does: {'; '.join(map(str, broken))}"
        )
    return _report(recipe, path, checks)


def _write(recipe: Recipe, path: Path) -> None:
    if recipe.graph is not None:
        recipe.graph(path)
        return
    # PyTorch, which machines that are given an ONNX file do without.
    import torch  # noqa: PLC0415

    from workbench.networks import exporting  # noqa: PLC0415

    sample = recipe.sample(cases.traced(recipe.profile), 0)
    exporting.export(
        recipe.module(),
        tuple(torch.from_numpy(sample[name]) for name in recipe.inputs),
        path,
        inputs=recipe.inputs,
        outputs=recipe.outputs,
    )


def _require_face(recipe: Recipe, inputs: set[str], outputs: set[str]) -> None:
    if inputs != set(recipe.inputs) or outputs != set(recipe.outputs):
        raise ModelUnavailable(
            f"the ONNX file of {recipe.name} takes {sorted(inputs)} and gives {sorted(outputs)}, and its recipe says "
            f"{sorted(recipe.inputs)} and {sorted(recipe.outputs)}"
        )


def _checks(recipe: Recipe, exported: Runtime) -> Iterator[Check]:
    from workbench.torch_runtime import TorchRuntime  # noqa: PLC0415 - PyTorch

    network = TorchRuntime(recipe, "fp32", "cpu")
    for seed, case in enumerate(cases.small(recipe.profile), start=1):
        inputs = recipe.sample(case, seed)
        expected, got = (attempt(runtime, case, inputs) for runtime in (network, exported))
        for output, difference in differences(expected, got).items():
            yield Check(cases.notation(case), output, difference)


def attempt(runtime: Runtime, case: Case, inputs: Arrays) -> Arrays:
    """What a runtime makes of a batch. Raises ModelUnavailable where it cannot: a trace may fit no other shape."""
    try:
        return answer(runtime, inputs)
    except Exception as error:
        raise ModelUnavailable(
            f"{runtime.kind} cannot compute {cases.notation(case)}: {in_brief(error)}"
        ) from error


def _report(recipe: Recipe, path: Path, checks: tuple[Check, ...]) -> Report:
    model = onnx.load(path, load_external_data=False)
    (opset,) = (item.version for item in model.opset_import if not item.domain)
    size = sum(file.stat().st_size for file in path.parent.glob(f"{GRAPH}*"))
    return Report(recipe.name, recipe.summary, opset, len(model.graph.node), size, checks)
