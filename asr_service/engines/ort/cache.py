"""Where TensorRT's engines lie: one folder for each thing that decides what an engine is.

    $DUOSCRIBE_CACHE/engines/<key>/      engine, graph around it, reference of the gate, record, stamp
                            .locks/      so that no two processes build the same engine
                            .partial/    what is being built
                            .timings/    how long kernels took, by GPU and TensorRT: later builds need not try them again

The key is a hash of the model's weights, the options and profile, the GPU and its driver, and the versions of ONNX
Runtime and TensorRT. A folder appears complete or not at all.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from asr_service.engines.ort.record import FILE, Identity, Record, read_record
from serving.errors import ModelUnavailable
from serving.models.exclusive import locked, scratch
from serving.models.integrity import Stamp, has_contents, has_sizes, is_content, read_stamp, write_stamp
from serving.models.store import default_cache_dir

# Makes an engine's files in an empty folder and says what came of it.
Fill = Callable[[Path], Record]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TIMINGS = "*.timing"


class _Busy(Exception):  # noqa: N818 - named after what happened
    """Another process holds the lock."""


def _busy() -> None:
    raise _Busy


@dataclass(frozen=True)
class Entry:
    """A folder of the cache, whole or not."""

    folder: Path
    record: Record | None
    stamp: Stamp | None

    def problem(self, *, thorough: bool = False) -> str:
        """What is wrong with its files: by size, or `thorough` by content. Empty where nothing is."""
        if self.stamp is None or self.record is None:
            return f"it has no readable {FILE} and stamp"
        if self.stamp.entry != self.folder.name or self.record.identity.key != self.folder.name:
            return "it was built for something else than its folder's name says"
        whole = has_contents if thorough else has_sizes
        return "" if whole(self.folder, self.stamp) else "its files are not those that were built"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())


class EngineCache:
    """Any number of processes may use one."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_cache_dir() / "engines"

    def entries(self) -> list[Entry]:
        """Everything that is there, damaged folders too."""
        if not self.root.is_dir():
            return []
        return [_entry(folder) for folder in sorted(self.root.iterdir()) if not folder.name.startswith(".")]

    def find(self, identity: Identity, *, command: str) -> Entry:
        """Reads no more than sizes. Raises ModelUnavailable, which names `command` as what builds the engine."""
        entry = _entry(self.root / identity.key)
        if not entry.folder.exists():
            raise ModelUnavailable(
                f"there is no TensorRT engine of {identity.encoder} for batches {identity.profile} on this machine"
                f"{self._nearest(identity)}: run `{command}`, or start the service with --build-engines"
            )
        if problem := entry.problem():
            raise ModelUnavailable(
                f"the TensorRT engine in {entry.folder} is damaged ({problem}): run `{command}` to build it again"
            )
        return entry

    def make(
        self, identity: Identity, fill: Fill, *, room: int = 0, on_wait: Callable[[], None] = lambda: None
    ) -> Entry:
        """The entry of this identity: what is there and whole, or else what `fill` makes.

        Waits where another process is making it, after calling `on_wait`. `room` is how many bytes the disk must have
        left. Raises ModelUnavailable where the cache cannot be written, and what `fill` raises.
        """
        folder = self.root / identity.key
        # Twice: a cache may be read-only for a service, and another process may build while this one waits.
        if (whole := _whole(folder)) is not None:
            return whole
        with self._writable(), self._lock(identity.key, on_wait):
            if (whole := _whole(folder)) is not None:
                return whole
            self._require_room(room)
            with scratch(self.root / ".partial" / identity.key) as work:
                self._borrow_timings(identity, work)
                fill(work).write(work)
                self._keep_timings(identity, work)
                write_stamp(
                    work, identity.key, tuple(path.name for path in work.iterdir() if is_content(path))
                )
                shutil.rmtree(folder, ignore_errors=True)
                work.rename(folder)
        return _entry(folder)

    def remove(self, entry: Entry) -> None:
        """Raises ModelUnavailable where it cannot be, or is being built."""
        try:
            with self._writable(), self._lock(entry.folder.name, _busy):
                shutil.rmtree(entry.folder)
        except _Busy as error:
            raise ModelUnavailable(
                f"{entry.folder} is being built by another process; try again later"
            ) from error

    def sweep(self) -> None:
        """Removes what killed builds left behind. Raises ModelUnavailable where it cannot be."""
        partial = self.root / ".partial"
        with self._writable():
            for folder in list(partial.iterdir()) if partial.is_dir() else []:
                with suppress(_Busy), self._lock(folder.name, _busy):
                    shutil.rmtree(folder)

    def _nearest(self, identity: Identity) -> str:
        """What distinguishes this machine from the one that the most similar engine was built on."""
        others = [entry.record.identity for entry in self.entries() if entry.record]
        same = [
            other
            for other in others
            if (other.weights, other.encoder) == (identity.weights, identity.encoder)
        ]
        if not same:
            return ""
        differences = min((list(identity.differences(other)) for other in same), key=len)
        return f" (one was built for other circumstances: now {', '.join(differences)})"

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ModelUnavailable(
                f"TensorRT engines cannot be kept in {self.root} ({error.strerror or error}): "
                f"{'make room there' if error.errno in _FULL else 'make it writable for this user'}, "
                "or let DUOSCRIBE_CACHE name another folder"
            ) from error

    def _require_room(self, room: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free < room:
            raise OSError(
                errno.ENOSPC, f"{free / 1e9:.1f} GB are left, and building may take {room / 1e9:.1f}"
            )

    @contextmanager
    def _lock(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with locked(locks / key, on_wait):
            yield

    def _timings(self, identity: Identity) -> Path:
        circumstances = f"{identity.gpu}\n{identity.driver}\n{identity.tensorrt}"
        return self.root / ".timings" / hashlib.sha256(circumstances.encode()).hexdigest()[:16]

    def _borrow_timings(self, identity: Identity, work: Path) -> None:
        for path in self._timings(identity).glob(_TIMINGS):
            shutil.copyfile(path, work / path.name)

    def _keep_timings(self, identity: Identity, work: Path) -> None:
        folder = self._timings(identity)
        folder.mkdir(parents=True, exist_ok=True)
        for path in work.glob(_TIMINGS):
            # Whoever reads it meanwhile reads the old one or the new one, whole.
            path.rename(folder / f".{os.getpid()}-{path.name}").replace(folder / path.name)


def _whole(folder: Path) -> Entry | None:
    """Read to the last byte."""
    entry = _entry(folder)
    return entry if folder.exists() and not entry.problem(thorough=True) else None


def _entry(folder: Path) -> Entry:
    return Entry(folder, read_record(folder), read_stamp(folder))
