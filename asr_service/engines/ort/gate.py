"""Does TensorRT compute what the CPU computes? Asked of every engine before it serves, on one fixed input.

TensorRT has been silently wrong for real models on real GPUs: encoder outputs at a cosine of 0.35 to 0.83 with the right
ones, and empty texts. So the CPU provider's answer is stored when an engine is built, and compared at every start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, inf, isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from asr_service.engines.ort.runtime import Array
from asr_service.engines.ort.settings import Bounds
from serving.errors import ModelUnavailable

Tokens = Sequence[Sequence[int]]

_MOST_SAMPLED = 1 << 20
_INPUT, _OUTPUT, _SHAPE = "input:", "output:", "shape:"


@dataclass(frozen=True)
class Figures:
    relative_error: float
    token_agreement: float

    def __str__(self) -> str:
        return f"relative error {self.relative_error:.2g}, {self.token_agreement:.1%} of the tokens agree"


def judge(figures: Figures, bounds: Bounds) -> None:
    """Raises ModelUnavailable with the figures where they pass the bounds."""
    if figures.relative_error <= bounds.relative_error and figures.token_agreement >= bounds.token_agreement:
        return
    raise ModelUnavailable(
        f"TensorRT computes something else than the CPU: {figures}, where at most {bounds.relative_error:g} and at least "
        f"{bounds.token_agreement:.0%} are allowed; choose another --engine-precision or --provider cuda"
    )


@dataclass(frozen=True)
class Reference:
    """The fixed input, and what the CPU provider makes of it."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    """At most a million values of each, evenly spread."""
    shapes: Mapping[str, tuple[int, ...]]
    tokens: Tokens

    @staticmethod
    def of(inputs: Mapping[str, Array], outputs: Mapping[str, Array], tokens: Tokens) -> "Reference":
        shapes = {name: value.shape for name, value in outputs.items()}
        return Reference(inputs, {name: spread(value) for name, value in outputs.items()}, shapes, tokens)

    def compare(self, outputs: Mapping[str, Array], tokens: Tokens) -> Figures:
        """`outputs` are whole, by the names of the reference's."""
        error = max(self._error(name, outputs.get(name)) for name in self.outputs)
        return Figures(error, token_agreement(self.tokens, tokens))

    def _error(self, name: str, output: Array | None) -> float:
        if output is None or output.shape != self.shapes[name]:
            return inf
        return relative_error(self.outputs[name], spread(output))

    def save(self, path: Path) -> None:
        """Without the tokens, which a record in plain text holds."""
        arrays: dict[str, Any] = {_INPUT + name: value for name, value in self.inputs.items()}
        arrays |= {_OUTPUT + name: value for name, value in self.outputs.items()}
        arrays |= {_SHAPE + name: np.array(shape) for name, shape in self.shapes.items()}
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @staticmethod
    def load(path: Path, tokens: Tokens) -> "Reference":
        """Raises ValueError where the file is not whole."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
        except (OSError, EOFError, BadZipFile) as error:
            raise ValueError(str(error)) from error
        shapes = {name: tuple(int(size) for size in value) for name, value in _named(held, _SHAPE).items()}
        return Reference(_named(held, _INPUT), _named(held, _OUTPUT), shapes, tokens)


def relative_error(reference: Array, candidate: Array) -> float:
    """The norm of the difference over the reference's; whole numbers, lengths of rows, must be the same."""
    if not np.issubdtype(reference.dtype, np.floating):
        return 0.0 if np.array_equal(reference, candidate) else inf
    wanted = reference.astype(np.float64)
    norm, distance = np.linalg.norm(wanted), np.linalg.norm(candidate.astype(np.float64) - wanted)
    if not isfinite(distance):
        return inf
    if norm == 0:
        return 0.0 if distance == 0 else inf
    return float(distance / norm)


def token_agreement(reference: Tokens, candidate: Tokens) -> float:
    """One less the edits between the rows over the longer row's tokens, all rows together."""
    if len(reference) != len(candidate):
        return 0.0
    rows = list(zip(reference, candidate, strict=True))
    total = sum(max(len(one), len(other)) for one, other in rows)
    return 1.0 - sum(edits(one, other) for one, other in rows) / total if total else 1.0


def spread(values: Array) -> Array:
    """At most a million of the values, from every part of the last axis."""
    step = max(1, -(-values.size // _MOST_SAMPLED))
    while values.ndim and gcd(step, values.shape[-1]) != 1:
        step += 1
    return values.reshape(-1)[::step].copy()


def edits(one: Sequence[object], other: Sequence[object]) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for deletions, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], deletions
        for column, right in enumerate(other, start=1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (left != right))
            diagonal, row[column] = row[column], best
    return row[-1]


def _named(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    return {name.removeprefix(kind): value for name, value in arrays.items() if name.startswith(kind)}
