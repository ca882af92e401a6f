"""What the workbench has to know of a model. Every step (export, build, compare, bench) works from this alone.

A recipe is a module with a function `recipe(size)`: one of those in workbench/recipes, or a file of the user's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy.typing as npt

from asr_service.engines.ort.profiles import Range
from asr_service.engines.ort.settings import EnginePrecision
from serving.errors import ModelUnavailable

if TYPE_CHECKING:
    from torch import nn

Size = Literal["full", "tiny"]
"""A published model's true size, or one with the same layers that a CPU runs in a moment."""
Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
"""Tensors by name: an input's or an output's."""


@dataclass(frozen=True)
class Case:
    """A batch: so many rows, each so long in the recipe's own unit."""

    rows: int
    length: float


@dataclass(frozen=True)
class Profile:
    """What an engine is built for."""

    rows: Range[int]
    length: Range[float]

    @property
    def corners(self) -> tuple[Case, Case, Case]:
        """The least, the usual and the largest batch."""
        rows, length = self.rows, self.length
        return Case(rows.min, length.min), Case(rows.opt, length.opt), Case(rows.max, length.max)


@dataclass(frozen=True)
class Verdict:
    """One figure about a model's outputs, and what it has to be."""

    name: str
    """In the field's terms, with the unit: "token agreement", "WER, %", "waveform error"."""
    value: float
    bound: float | None = None
    """None where the figure is only told."""
    at_least: bool = False
    """Whether the bound is the least that is well, and not the most."""

    @property
    def is_well(self) -> bool:
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        told = f"{self.name} {self.value:.4g}"
        if self.bound is None:
            return told
        return f"{told}, at {'least' if self.at_least else 'most'} {self.bound:.4g}"


Judge: TypeAlias = Callable[[Arrays, Arrays, Arrays], Sequence[Verdict]]
"""Inputs, expected outputs, outputs → verdicts that errors of single numbers do not show."""


@dataclass(frozen=True)
class Walk:
    """The batches that are timed: all rows by all lengths."""

    rows: tuple[int, ...]
    lengths: tuple[float, ...]

    @property
    def cases(self) -> list[Case]:
        return [Case(rows, length) for length in self.lengths for rows in self.rows]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str
    summary: str
    """One line: the model, its parameters, where its weights come from."""
    network: Callable[[], "nn.Module"] | None = None
    """In fp32 on the CPU, for inference; its weights are the same at each call. Takes the inputs in order. None where
    there is only an ONNX file: that is compared with the CPU then."""
    graph: Callable[[Path], None] | None = None
    """Writes the ONNX file, which is a trace of the network where this is None: a copy of a file that there is, or a
    graph that was put together. Weights of over 2 GB go to one file beside it, which has ".data" appended."""
    inputs: Mapping[str, Mapping[int, str]]
    """Names in order; the axes whose size may vary, and what each is called."""
    outputs: Mapping[str, Mapping[int, str]]
    sample: Callable[[Case, int], Arrays]
    """Inputs as they come in earnest, of equal lengths, for a batch and a seed. Floating-point numbers are float32."""
    seconds: Callable[[float], float]
    """Of audio in one row of a length."""
    unit: str
    """Of lengths: "s", "frames"."""
    profile: Profile
    walk: Walk
    precision: EnginePrecision = "fp16"
    relative_error: Mapping[EnginePrecision, float] = field(
        default_factory=lambda: {"fp32": 1e-2, "fp16": 3e-2, "bf16": 1e-1}
    )
    """The most that each output may differ from PyTorch's in fp32: norm of the difference over norm."""
    judge: Judge | None = None

    def __post_init__(self) -> None:
        if self.network is None and self.graph is None:
            raise ValueError(f"the recipe {self.name} has neither a network nor a graph")

    def module(self) -> "nn.Module":
        """Raises ModelUnavailable where the recipe has no PyTorch network."""
        if self.network is None:
            raise ModelUnavailable(f"{self.name} is of an ONNX file alone, so PyTorch cannot run it")
        return self.network()

    def example(self) -> Arrays:
        """A batch of the usual shape."""
        return self.sample(self.profile.corners[1], 0)
