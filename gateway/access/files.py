"""Files that operators change while the gateway runs: tokens, keys, limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from serving import logs

ContentT = TypeVar("ContentT")

_Stamp: TypeAlias = tuple[int, int, int]

_log = logs.get_logger(__name__)


class FileError(ValueError):
    """A file cannot be read, or not understood. The message names the file and repeats nothing of what is in it."""


class WatchedFile(Generic[ContentT]):
    """What a file says; read again when it has changed.

    It is looked at with every use, which costs a stat and finds Kubernetes' secrets, whose links are turned, as well as
    files that were edited in place. A change that is not understood is logged, and what was said before stays in force.
    """

    def __init__(self, path: Path, parse: Callable[[str], ContentT]) -> None:
        """`parse` raises ValueError, with a message that repeats nothing of the text. Raises FileError."""
        self._path = path
        self._parse = parse
        self._stamp = _stamp(path)
        self._content = self._read()

    def current(self) -> ContentT:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        return self._content

    def _read_again(self) -> None:
        try:
            self._content = self._read()
        except FileError as error:
            _log.error("a file that changed cannot be used; what it said before holds", reason=str(error))
        else:
            _log.info("read a file that changed", file=str(self._path))

    def _read(self) -> ContentT:
        try:
            return self._parse(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FileError(f"{self._path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise FileError(f"{self._path}: {error}") from error


def _stamp(path: Path) -> _Stamp | None:
    """Differs after every change; None while there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
