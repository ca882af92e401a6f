"""What is known of an engine: all that decides what it is, and how its build went. Plain text beside it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from asr_service.engines.ort.gate import Figures
from asr_service.engines.ort.settings import EnginePrecision

FILE = "engine.json"


@dataclass(frozen=True)
class Identity:
    """Two engines of one identity are interchangeable; where one field differs, TensorRT may refuse or compute worse."""

    weights: str
    """Fingerprint of the model's folder."""
    encoder: str
    """Name of the file in it."""
    profile: str
    options: Mapping[str, str]
    """TensorRT's, but for places and device numbers."""
    refining: str
    """Which rules rewrote the encoder."""
    gpu: str
    compute_capability: str
    driver: str
    onnxruntime: str
    tensorrt: str

    @property
    def key(self) -> str:
        """A hash over all of it, as a folder's name."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def differences(self, other: "Identity") -> Iterator[str]:
        """What is different here, in words."""
        for field in fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if mine != its and field.name != "options":
                yield f"{field.name.replace('_', ' ')} {mine} instead of {its}"
        for name in sorted({*self.options, *other.options}):
            mine, its = self.options.get(name, "unset"), other.options.get(name, "unset")
            if mine != its:
                yield f"{name} {mine} instead of {its}"


@dataclass(frozen=True)
class Record:
    identity: Identity
    model: str
    """What whoever built it called the model."""
    precision: EnginePrecision
    built: str
    """When, in UTC, as ISO 8601 has it."""
    seconds: float
    """How long TensorRT took."""
    engine_bytes: int
    figures: Figures
    """Of the gate, right after the build."""
    tokens: tuple[tuple[int, ...], ...]
    """What the CPU hears in the gate's input."""
    graph: str
    """The file to load: one around the finished engine, or the encoder where the engine alone cannot be loaded."""
    finding: str
    """What TensorRT left to other providers, in words; empty where it took the whole graph."""

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def read_record(folder: Path) -> Record | None:
    """None where there is none, or none that can be read."""
    try:
        held = json.loads((folder / FILE).read_text("utf-8"))
        held["identity"] = Identity(**held["identity"])
        held["figures"] = Figures(**held["figures"])
        held["tokens"] = tuple(tuple(row) for row in held["tokens"])
        return Record(**held)
    except (OSError, ValueError, KeyError, TypeError):
        return None
