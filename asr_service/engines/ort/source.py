"""Where a model comes from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    directory: Path
    name: str
    """By which its user knows it."""
    fingerprint: str
    """serving.models.integrity.fingerprint of the folder: TensorRT's engines are kept by it."""
