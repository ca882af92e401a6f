"""Shapes of an encoder's inputs, as TensorRT wants to know them before it builds. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from asr_service.engines.onnx_header import Shape
from asr_service.engines.ort.profiles import Profile
from serving.errors import ModelUnavailable
from serving.times import SAMPLE_RATE

Sizes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class FeatureLayout:
    """How an encoder takes a batch: its features in one input of rank 3, a number for each row in others of rank 1."""

    bins: int
    """Size of a feature frame."""
    time_axis: int
    """1 for (batch, frames, bins), 2 for (batch, bins, frames)."""
    frames: Callable[[int], int]
    """How many feature frames so many samples give."""

    def sizes(self, rows: int, seconds: float) -> dict[int, tuple[int, ...]]:
        """The shape of an input by its rank."""
        frames = self.frames(ceil(seconds * SAMPLE_RATE))
        features = (rows, frames, self.bins) if self.time_axis == 1 else (rows, self.bins, frames)
        return {1: (rows,), 3: features}


@dataclass(frozen=True)
class ShapeRanges:
    """The least, the usual and the largest shape of every input that has a dynamic axis."""

    min: Sizes
    opt: Sizes
    max: Sizes


def shape_ranges(inputs: Mapping[str, Shape], layout: FeatureLayout, profile: Profile) -> ShapeRanges:
    """What a profile means for a graph. Raises ModelUnavailable where the graph cannot take its batches."""
    rows, seconds = profile.rows, profile.seconds
    return ShapeRanges(
        _shapes(inputs, layout.sizes(rows.min, seconds.min), profile),
        _shapes(inputs, layout.sizes(rows.opt, seconds.opt), profile),
        _shapes(inputs, layout.sizes(rows.max, seconds.max), profile),
    )


def _shapes(inputs: Mapping[str, Shape], sizes: Mapping[int, tuple[int, ...]], profile: Profile) -> Sizes:
    filled = {name: _filled(name, shape, sizes, profile) for name, shape in inputs.items()}
    return {name: shape for name, shape in filled.items() if None in inputs[name]}


def _filled(
    name: str, shape: Shape, sizes: Mapping[int, tuple[int, ...]], profile: Profile
) -> tuple[int, ...]:
    if len(shape) not in sizes:
        raise ModelUnavailable(
            f"the encoder's input {name!r} has {len(shape)} axes, and an engine profile says nothing of such inputs; "
            "run the model with --provider cuda"
        )
    wanted = sizes[len(shape)]
    if any(fixed not in {None, size} for fixed, size in zip(shape, wanted, strict=True)):
        raise ModelUnavailable(
            f"the encoder's input {name!r} is fixed to {_text(shape)} and cannot be {_text(wanted)} as the profile "
            f"{profile} wants; name a --profile that fits, or export the model with dynamic axes"
        )
    return wanted


def _text(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
