"""What is asked of a process that builds an engine, and what it reports: plain values, for they travel as JSON."""

from dataclasses import dataclass
from typing import Any

from asr_service.engines.ort.runtime import Placement

# Files that a build leaves, besides the engine.
GRAPH = "finished.onnx"
ENCODER = "encoder.onnx"
REFERENCE = "reference.npz"


@dataclass(frozen=True)
class Order:
    model: str
    """The model's folder."""
    profile: str
    may_round: bool
    """Whether weights may be stored in 16 bits, since the engine computes with no more."""
    building: Placement
    finished: Placement


@dataclass(frozen=True)
class Report:
    seconds: float
    engine_bytes: int
    relative_error: float
    token_agreement: float
    tokens: list[list[int]]
    graph: str
    """The file to load: GRAPH, or ENCODER with the engine in TensorRT's own cache."""
    finding: str
    """What TensorRT left to others, in words."""


def read_order(held: dict[str, Any]) -> Order:
    """From what `dataclasses.asdict` and JSON make of one."""
    building, finished = _placement(held.pop("building")), _placement(held.pop("finished"))
    return Order(**held, building=building, finished=finished)


def _placement(held: dict[str, Any]) -> Placement:
    providers = tuple((name, options) for name, options in held.pop("providers"))
    return Placement(providers, without=tuple(held.pop("without")), **held)
