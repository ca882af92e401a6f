"""How far an output is from what was expected."""

from dataclasses import dataclass

import numpy as np

from asr_service.engines.ort.gate import relative_error, token_agreement
from workbench.recipe import Array, Arrays


@dataclass(frozen=True)
class Difference:
    """Numbers have errors, whole numbers agree or do not; what does not apply is None."""

    mean_squared_error: float | None = None
    relative_error: float | None = None
    """Norm of the difference over the norm of what was expected."""
    largest_error: float | None = None
    token_agreement: float | None = None
    """One less the edits over the tokens, row by row. Lengths count as one row."""
    problem: str = ""
    """Why the two cannot be compared at all."""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.token_agreement is not None:
            return f"{self.token_agreement:.2%} agree"
        return f"relative error {self.relative_error:.2g}, mean squared error {self.mean_squared_error:.2g}"


def differences(expected: Arrays, got: Arrays) -> dict[str, Difference]:
    """By output."""
    return {
        name: difference(value, got[name]) if name in got else Difference(problem="missing")
        for name, value in expected.items()
    }


def difference(expected: Array, got: Array) -> Difference:
    """Of one output. Numbers must have the same shape; rows of tokens may differ in length."""
    if not np.issubdtype(expected.dtype, np.floating):
        return Difference(token_agreement=token_agreement(rows(expected), rows(got)))
    if got.shape != expected.shape:
        return Difference(problem=f"has shape {got.shape} instead of {expected.shape}")
    if not np.isfinite(got).all():
        return Difference(problem="has numbers that are not finite")
    error = np.abs(got.astype(np.float64) - expected)
    return Difference(
        float(np.mean(np.square(error))), relative_error(expected, got), float(error.max(initial=0.0))
    )


def rows(values: Array) -> list[list[int]]:
    """Whole numbers as rows of tokens: (B,) as one, (B, …) as B."""
    together = values.reshape(values.shape[0] if values.ndim > 1 else 1, -1)
    return [[int(value) for value in row] for row in together]
