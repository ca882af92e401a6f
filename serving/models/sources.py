"""Published files brought here and checked; `packages` and `hub` know the two ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from serving.models.integrity import sha256
from serving.models.manifest import Source, SourceFile

# Called with the fraction that is done, 0 to 1.
Advance = Callable[[float], None]


class FetchFailed(Exception):  # noqa: N818 - named after what happened
    """A source did not give the file; the message says why."""


class Fetch(Protocol):
    def __call__(self, source: Source, target: Path, advance: Advance) -> None:
        """Bring the source's file to `target`. Raises FetchFailed."""


def fetch_checked(file: SourceFile, target: Path, fetch: Fetch, advance: Advance) -> None:
    """Take the first source whose file has the right checksum. Raises FetchFailed with what each gave instead."""
    failures = []
    for source in file.sources:
        try:
            fetch(source, target, advance)
            _check(file, target)
        except FetchFailed as error:
            target.unlink(missing_ok=True)
            failures.append(f"{source}: {error}")
        else:
            return
    raise FetchFailed("; ".join(failures))


def _check(file: SourceFile, path: Path) -> None:
    if file.sha256 is None:
        return
    found = sha256(path)
    if found != file.sha256:
        raise FetchFailed(f"{file.key} has SHA-256 {found}, but the manifest expects {file.sha256}")
