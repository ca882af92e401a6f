"""A model's encoder as TensorRT engines are built from it, whatever the model's family."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxruntime import OrtValue

from asr_service.engines.base import Family, Samples
from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.shapes import FeatureLayout

Decode = Callable[[Mapping[str, OrtValue]], list[list[int]]]


@dataclass(frozen=True)
class Network:
    family: Family
    encoder: Path
    """The ONNX file; weights that it keeps outside lie beside it."""
    layout: FeatureLayout
    inputs: Callable[[Sequence[Samples]], Mapping[str, Array]]
    """A batch of utterances as a session of the encoder takes it."""
    search: Callable[[Placement], Decode]
    """Makes what turns the encoder's outputs into the token ids of each row."""
