"""What TensorRT engines are built from: a graph, and what tells whether an engine computes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from onnxruntime import OrtValue

from asr_service.engines.base import Family, Samples
from asr_service.engines.ort.profiles import Profile
from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.shapes import FeatureLayout
from asr_service.engines.ort.speechlike import speech_like

Outputs = Mapping[str, OrtValue]
Decode = Callable[[Outputs], list[list[int]]]
Answer = tuple[dict[str, Array], list[list[int]]]
"""Outputs whose numbers are compared, and tokens that are."""


class Subject(Protocol):
    @property
    def encoder(self) -> Path:
        """The ONNX file; weights that it keeps outside lie beside it."""

    def trial(self, profile: Profile) -> Mapping[str, Array]:
        """A batch that the profile admits, always the same one."""

    def answer(self, outputs: Outputs, host: Placement) -> Answer:
        """What is compared of the outputs; where it takes a search, that runs on `host`."""


@dataclass(frozen=True)
class Network:
    """A recognition model's encoder, whatever the model's family."""

    family: Family
    encoder: Path
    """The ONNX file; weights that it keeps outside lie beside it."""
    layout: FeatureLayout
    inputs: Callable[[Sequence[Samples]], Mapping[str, Array]]
    """A batch of utterances as a session of the encoder takes it."""
    search: Callable[[Placement], Decode]
    """Makes what turns the encoder's outputs into the token ids of each row."""

    def trial(self, profile: Profile) -> Mapping[str, Array]:
        return self.inputs(gate_input(profile))

    def answer(self, outputs: Outputs, host: Placement) -> Answer:
        return {name: value.numpy() for name, value in outputs.items()}, self.search(host)(outputs)


def gate_input(profile: Profile) -> list[Samples]:
    """Utterances of the profile's usual length: equally long, so that no value is computed from padding."""
    rows = min(profile.rows.max, max(2, profile.rows.min))
    return [speech_like(profile.seconds.opt, seed=row) for row in range(rows)]
