"""Where models lie, and how they come there.

    store = ModelStore()
    store.pull(["silero-vad"])        # needs the network, once
    store.path("silero-vad")          # never does

Each model is a folder under $DUOSCRIBE_CACHE (~/.cache/duoscribe) that appears complete or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from serving.errors import ModelUnavailable
from serving.models.exclusive import locked, scratch
from serving.models.integrity import fingerprint, has_contents, has_sizes, read_stamp
from serving.models.manifest import Entry, load_manifest
from serving.models.pull import Convert, Progress, Puller, Update, convert, fetch
from serving.models.sources import Fetch
from speech.audio.v1 import audio_pb2

LOCK = ".lock"
WORK = ".partial"


class ModelStore:
    """The manifest's models and the cache that holds them. Any number of processes may use one cache."""

    def __init__(
        self,
        cache_dir: Path | None = None,
        *,
        manifest: Mapping[str, Entry] | None = None,
        fetch: Fetch = fetch,
        convert: Convert = convert,
    ) -> None:
        self.cache_dir = cache_dir or default_cache_dir()
        self._manifest = load_manifest() if manifest is None else manifest
        self._fetch = fetch
        self._convert = convert

    def entries(self) -> tuple[Entry, ...]:
        """Everything in the manifest, in its order."""
        return tuple(self._manifest.values())

    def default_names(self) -> tuple[str, ...]:
        """What `pull` takes when it is told nothing."""
        return tuple(entry.name for entry in self.entries() if entry.default)

    def path(self, name_or_directory: str) -> Path:
        """The folder of a pulled model, or the directory itself where it is the path of one.

        A name in the manifest comes first; write ./name for a directory of that name. Only sizes are checked here,
        `pull` checks contents. Raises ModelUnavailable.
        """
        entry = self._manifest.get(name_or_directory)
        if entry is None:
            return self._directory(name_or_directory)
        if not self.has(entry):
            state = "is broken or out of date" if self._folder(entry).exists() else "has not been pulled"
            raise ModelUnavailable(
                f"model {entry.name} {state}: run `duoscribe models pull {entry.name}` "
                f"(it goes to {self.cache_dir}; DUOSCRIBE_CACHE moves it)"
            )
        return self._folder(entry)

    def info(self, name_or_directory: str, *, role: str) -> audio_pb2.ModelInfo:
        """What a service says of a model; engine and provider are left to whoever runs it. Raises ModelUnavailable."""
        entry = self._manifest.get(name_or_directory)
        path = self.path(name_or_directory)
        return audio_pb2.ModelInfo(
            role=role,
            name=name_or_directory,
            fingerprint=fingerprint(path),
            license=entry.license if entry else "",
        )

    def has(self, entry: Entry, *, thorough: bool = False) -> bool:
        """Whether the folder holds what was once put there: by size, or `thorough` by content."""
        folder = self._folder(entry)
        stamp = read_stamp(folder)
        if stamp is None or stamp.entry != entry.digest:
            return False
        return has_contents(folder, stamp) if thorough else has_sizes(folder, stamp)

    def pull(self, names: Iterable[str] = (), progress: Progress = lambda _: None) -> list[Path]:
        """Make sure of these models (the default set where none is named) and give their folders.

        What is there and whole is left alone, without network and without writing. Raises ModelUnavailable.
        """
        entries = [self._entry(name) for name in tuple(names) or self.default_names()]
        missing = [entry for entry in entries if not self._ready(entry, progress)]
        try:
            if missing:
                self._pull(missing, progress)
        except OSError as error:
            raise ModelUnavailable(
                f"models cannot be kept in {self.cache_dir} ({error}); DUOSCRIBE_CACHE names another folder"
            ) from error
        return [self._folder(entry) for entry in entries]

    def _pull(self, entries: list[Entry], progress: Progress) -> None:
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        waiting = Update(entries[0].name, "waiting for another pull", 0.0)
        lock, partial = self.cache_dir / LOCK, self.cache_dir / WORK
        with locked(lock, lambda: progress(waiting)), scratch(partial) as work:
            puller = Puller(self.cache_dir, work, self._fetch, self._convert, progress)
            for entry in entries:
                # Another process may have pulled it while this one waited for the lock.
                if not self._ready(entry, progress):
                    puller.pull(entry)

    def _ready(self, entry: Entry, progress: Progress) -> bool:
        ready = self.has(entry, thorough=True)
        if ready:
            progress(Update(entry.name, "ready", 1.0))
        return ready

    def _entry(self, name: str) -> Entry:
        if name not in self._manifest:
            raise ModelUnavailable(f"there is no model {name!r}; there are {', '.join(self._manifest)}")
        return self._manifest[name]

    def _folder(self, entry: Entry) -> Path:
        return self.cache_dir / entry.name

    def _directory(self, path: str) -> Path:
        directory = Path(path).expanduser()
        if not directory.is_dir():
            raise ModelUnavailable(
                f"{path!r} is neither a directory nor a model's name; `duoscribe models list` shows the names"
            )
        return directory


def default_cache_dir() -> Path:
    """$DUOSCRIBE_CACHE, or ~/.cache/duoscribe."""
    chosen = os.environ.get("DUOSCRIBE_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "duoscribe"
