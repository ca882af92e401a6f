"""Recordings that the command line is given: files, pipes, standard input."""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.client import CHUNK_BYTES
from gateway.commands.outputs import STDIN

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Recording:
    """`name` is what messages call it; `size` is in bytes, None where it is not known beforehand."""

    argument: str
    name: str
    size: int | None

    @property
    def is_stdin(self) -> bool:
        return self.argument == STDIN

    async def chunks(self, sent: Callable[[int], object] = lambda _: None) -> AsyncGenerator[bytes]:
        """Its bytes, as soon as there are any; `sent` is told the length of each chunk. Raises OSError."""
        descriptor = 0 if self.is_stdin else await _in_thread(self._open)
        try:
            while chunk := await _in_thread(lambda: os.read(descriptor, CHUNK_BYTES)):
                yield chunk
                sent(len(chunk))
        finally:
            if not self.is_stdin:
                os.close(descriptor)

    def _open(self) -> int:
        return os.open(self.argument, os.O_RDONLY)


def find_recording(argument: str) -> Recording:
    """Look at a FILE argument without opening it. Raises OSError where it cannot be a recording."""
    if argument == STDIN:
        if os.isatty(0):
            raise OSError("standard input is the keyboard; pipe a recording into it")
        return Recording(argument, "stdin", _regular_size(os.fstat(0)))
    path = Path(argument)
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{argument} is a folder, not a recording")
    # Names on disk are bytes; those that are no text cannot be in messages as they are.
    name = os.fsencode(path.name).decode(errors="replace")
    return Recording(argument, name, _regular_size(found))


def _regular_size(found: os.stat_result) -> int | None:
    return found.st_size if stat.S_ISREG(found.st_mode) else None


async def _in_thread(function: Callable[[], ResultT]) -> ResultT:
    """Wait for something that may block for ever. Unlike a pool's, its thread keeps nobody from ending the process."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[ResultT] = loop.create_future()

    def settle(value: ResultT | None, error: BaseException | None) -> None:
        if result.cancelled():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def work() -> None:
        try:
            outcome: tuple[ResultT | None, BaseException | None] = (function(), None)
        except OSError as error:
            outcome = (None, error)
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="recording", daemon=True).start()
    return await result
