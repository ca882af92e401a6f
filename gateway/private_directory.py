"""A place for sockets between parts of one deployment."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Paths of sockets are short: 107 bytes on Linux, 103 elsewhere, with some left for the socket's own name.
_MAX_DIRECTORY_BYTES = 80


@contextmanager
def private_directory() -> Iterator[Path]:
    """A folder that only this user can enter, removed in the end."""
    base = tempfile.gettempdir()
    roomy = len(os.fsencode(base)) <= _MAX_DIRECTORY_BYTES
    with tempfile.TemporaryDirectory(prefix="duoscribe-", dir=base if roomy else "/tmp") as directory:  # noqa: S108
        yield Path(directory)
