"""A file that cannot be sent on yet."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from gateway.config import GatewayConfig
from serving.disk import disk_errors
from serving.errors import RecordingTooLong

_OWNER = "the gateway"
_BLOCK_BYTES = 256 * 1024


class KeptFile:
    """A temporary file without a name, up to the longest upload that is taken; made by `opened`."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._bytes = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, config: GatewayConfig) -> AsyncIterator["KeptFile"]:
        """Where spools are, until the context ends. Raises Unavailable."""
        with disk_errors(_OWNER):
            file = await asyncio.to_thread(_nameless, config.spool_directory)
        with file:
            yield cls(file, config.max_upload_bytes)

    async def write(self, block: bytes) -> None:
        """Raises RecordingTooLong, Unavailable."""
        self._bytes += len(block)
        if self._bytes > self._most_bytes:
            raise RecordingTooLong(f"an upload may have {self._most_bytes:,} bytes")
        with disk_errors(_OWNER):
            await asyncio.to_thread(self._file.write, block)

    async def blocks(self) -> AsyncIterator[bytes]:
        """All that was written. Raises Unavailable."""
        with disk_errors(_OWNER):
            await asyncio.to_thread(self._file.seek, 0)
        while True:
            with disk_errors(_OWNER):
                block = await asyncio.to_thread(self._file.read, _BLOCK_BYTES)
            if not block:
                return
            yield block


def _nameless(directory: Path | None) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory)
