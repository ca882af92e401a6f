"""A small manifest, and sources that need no network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from serving.models import ModelStore, Update
from serving.models.manifest import Entry, Source, parse_manifest
from serving.models.sources import Advance, FetchFailed

PLAIN = b"weights as they are"
CHECKPOINT = b"weights to convert"

MANIFEST = f"""
[models.plain]
role = "voice-activity"
summary = "copied"
license = "MIT"
origin = "https://example.org/plain"
default = true
revision = 1
files = {{ "model.onnx" = "plain.onnx" }}

[models.made]
role = "recognition"
summary = "converted"
license = "Apache-2.0"
origin = "https://example.org/made"
default = true
recipe = "shout"
revision = 1
files = {{ "checkpoint.pt" = "made.pt" }}
outputs = ["encoder.onnx", "tokens.txt"]

[models.made-too]
role = "recognition"
summary = "made of the same file"
license = "Apache-2.0"
origin = "https://example.org/made"
recipe = "shout"
revision = 1
files = {{ "checkpoint.pt" = "made.pt" }}
outputs = ["encoder.onnx", "tokens.txt"]

[files."plain.onnx"]
sha256 = "{sha256(PLAIN).hexdigest()}"
size = {len(PLAIN)}
sources = [{{ package = "gone==1.0", path = "plain.onnx" }}, {{ package = "plain==1.0", path = "plain.onnx" }}]

[files."made.pt"]
sha256 = "{sha256(CHECKPOINT).hexdigest()}"
size = {len(CHECKPOINT)}
sources = [{{ package = "made==1.0", path = "made.pt" }}]
"""


@dataclass
class FakeRegistry:
    """What each package holds, which were asked for, and what to do while one is being fetched."""

    held: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def fetch(self, source: Source, target: Path, advance: Advance) -> None:
        self.asked.append(str(source))
        self.meanwhile()
        if str(source) not in self.held:
            raise FetchFailed("no such package")
        target.write_bytes(self.held[str(source)])
        advance(1.0)


def shout(recipe: str, source: Path, target: Path) -> None:
    """A recipe that needs no library."""
    (target / "encoder.onnx").write_bytes((source / "checkpoint.pt").read_bytes().upper())
    (target / "tokens.txt").write_text(recipe)


@pytest.fixture
def manifest() -> Mapping[str, Entry]:
    return parse_manifest(MANIFEST)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry({"plain==1.0": PLAIN, "made==1.0": CHECKPOINT})


@pytest.fixture
def store(tmp_path: Path, manifest: Mapping[str, Entry], registry: FakeRegistry) -> ModelStore:
    return ModelStore(tmp_path / "cache", manifest=manifest, fetch=registry.fetch, convert=shout)


@pytest.fixture
def updates() -> list[Update]:
    return []
