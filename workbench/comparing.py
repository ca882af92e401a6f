"""Every output of every runtime against PyTorch's and the CPU's, over several shapes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from asr_service.engines.ort.settings import BOUNDS, EnginePrecision
from serving.errors import ModelUnavailable
from workbench.cases import notation
from workbench.comparison import Comparison, Finding, Judgement
from workbench.difference import Difference, differences
from workbench.export import LEAST_AGREEMENT, MOST_SQUARED_ERROR, attempt
from workbench.predictions import INPUTS, Predictions
from workbench.recipe import Array, Arrays, Case, Recipe
from workbench.runtimes import Kind, Precision, Runtime

REFERENCES = (Kind("pytorch", "fp32"), Kind("cpu", "fp32"))
"""What others are compared with. Judges take the first that there is."""

_BOUNDED_AS: Mapping[Precision, EnginePrecision] = {
    "fp32": "fp32",
    "tf32": "fp32",
    "fp16": "fp16",
    "bf16": "bf16",
}


@dataclass(frozen=True)
class Comparing:
    recipe: Recipe
    predictions: Predictions
    """Written as it goes on: inputs first, then each runtime's outputs."""
    open: Callable[[Kind], Runtime]
    tell: Callable[[str], None]
    seconds: float = float("inf")
    """For each runtime, after which no batch is begun."""
    found: Comparison = field(default_factory=Comparison)

    def sample(self, cases: Sequence[Case]) -> None:
        """Makes the inputs, each batch of another seed."""
        for seed, case in enumerate(cases, start=1):
            self.predictions.put(case, INPUTS, self.recipe.sample(case, seed))

    def take(self, earlier: Predictions) -> list[Kind]:
        """Takes over the inputs and the references of another run, and gives which of those there are."""
        for case in earlier.cases():
            for whose in (INPUTS, *map(str, REFERENCES)):
                self.predictions.put(case, whose, earlier.get(case, whose))
        return [kind for kind in REFERENCES if str(kind) in earlier.runtimes()]

    def run(self, kind: Kind) -> None:
        """Computes a runtime's outputs, and compares them with the references that are there by then."""
        self.tell(f"{self.recipe.name} on {kind}")
        until = time.monotonic() + self.seconds
        try:
            runtime = self.open(kind)
        except ModelUnavailable as error:
            self.found.failures.append(f"{kind}: {error.message}")
            return
        for case in self.predictions.cases():
            if time.monotonic() > until:
                self.found.left_out.append(f"{notation(case)} {kind}")
            else:
                self._run(runtime, case)

    def _run(self, runtime: Runtime, case: Case) -> None:
        inputs = self.predictions.get(case, INPUTS)
        try:
            got = attempt(runtime, case, inputs)
        except ModelUnavailable as error:
            self.found.failures.append(error.message)
            return
        self.predictions.put(case, str(runtime.kind), got)
        references = list(self._references(runtime.kind, case))
        for reference, expected in references:
            self.found.findings.extend(self._findings(runtime.kind, case, reference, expected, got))
        if references and self.recipe.judge is not None:
            verdicts = self.recipe.judge(inputs, references[0][1], got)
            self.found.judgements.extend(
                Judgement(notation(case), str(runtime.kind), verdict) for verdict in verdicts
            )

    def _references(self, kind: Kind, case: Case) -> Iterator[tuple[Kind, Arrays]]:
        for reference in REFERENCES:
            if reference != kind and (arrays := self.predictions.get(case, str(reference))):
                yield reference, arrays

    def _findings(
        self, kind: Kind, case: Case, reference: Kind, expected: Arrays, got: Arrays
    ) -> Iterator[Finding]:
        for output, difference in differences(expected, got).items():
            bound = self._bound(kind, expected[output], difference)
            is_well = _is_exact(difference) if kind in REFERENCES else _is_within(difference, bound)
            yield Finding(notation(case), str(kind), str(reference), output, difference, bound, is_well)

    def _bound(self, kind: Kind, expected: Array, difference: Difference) -> float | None:
        precision = _BOUNDED_AS[kind.precision]
        if difference.token_agreement is None:
            return self.recipe.relative_error[precision]
        # Rounding turns tokens that are nearly as likely; how many may turn, a judge knows better. Lengths do not turn.
        return (
            None if self.recipe.judge is not None and expected.ndim > 1 else BOUNDS[precision].token_agreement
        )


def _is_exact(difference: Difference) -> bool:
    """Of two that both compute in single precision, on CPUs."""
    if difference.token_agreement is not None:
        return difference.token_agreement >= LEAST_AGREEMENT
    return difference.mean_squared_error is not None and difference.mean_squared_error < MOST_SQUARED_ERROR


def _is_within(difference: Difference, bound: float | None) -> bool:
    if difference.problem:
        return False
    if bound is None:
        return True
    if difference.token_agreement is not None:
        return difference.token_agreement >= bound
    return difference.relative_error is not None and difference.relative_error <= bound
