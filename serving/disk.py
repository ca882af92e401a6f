"""Disks in trouble, as callers learn of them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(owner: str) -> Iterator[None]:
    """Around work on a temporary file: an OSError becomes Unavailable, for another replica may have a better disk.

    `owner` is whose disk it is ("the gateway"). Nothing of the error itself is told, for it holds paths.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{owner}'s disk for temporary files {_trouble(error)}") from error


def _trouble(error: OSError) -> str:
    if error.errno in _FULL:
        return "is full; its operator must make room"
    return "cannot be used; its operator must see to the temporary directory"
