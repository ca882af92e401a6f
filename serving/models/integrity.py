"""Checksums of models, and the stamp that says what a finished folder must hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

STAMP = ".duoscribe.json"


@dataclass(frozen=True)
class Checked:
    """A file's size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Stamp:
    """What a folder was made from (`Entry.digest`) and what it held when it was finished."""

    entry: str
    files: Mapping[str, Checked]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """SHA-256 over the names and contents of the files in a model's folder: the same fingerprint, the same answers.

    Hidden files and folders do not count. A folder that the store made is not read again: its stamp knows.
    """
    stamp = read_stamp(path)
    if stamp is not None and has_sizes(path, stamp):
        hashes = {name: file.sha256 for name, file in stamp.files.items()}
    else:
        hashes = {file.name: sha256(file) for file in path.iterdir() if is_content(file)}
    lines = (f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_content(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def write_stamp(folder: Path, entry: str, names: tuple[str, ...]) -> None:
    files = {name: Checked((folder / name).stat().st_size, sha256(folder / name)) for name in names}
    (folder / STAMP).write_text(json.dumps(asdict(Stamp(entry, files)), indent=2) + "\n", "utf-8")


def read_stamp(folder: Path) -> Stamp | None:
    """None where there is no stamp, or none that can be read."""
    try:
        held = json.loads((folder / STAMP).read_text("utf-8"))
        files = {name: Checked(**values) for name, values in held["files"].items()}
        return Stamp(held["entry"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def has_sizes(folder: Path, stamp: Stamp) -> bool:
    """The quick check, for every start of a service."""
    return all(_size(folder / name) == file.size for name, file in stamp.files.items())


def has_contents(folder: Path, stamp: Stamp) -> bool:
    """The thorough check, for `pull`."""
    return has_sizes(folder, stamp) and all(
        sha256(folder / name) == file.sha256 for name, file in stamp.files.items()
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
