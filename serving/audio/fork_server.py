"""The process that makes decoders, as the service sees it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from serving.decoding.leash import NOT_FORKED, NUMBER
from serving.errors import Unavailable

# What waits in a recording's socket on its way to the decoder, and decoded on its way back; Linux allows twice as much.
_UPLOAD_BYTES, _DECODED_BYTES = 128 * 1024, 64 * 1024
# After its control socket was closed.
_LAST_SECONDS = 5.0

# All that reaches a decoder of the service's environment: what Python and the system's libraries need to be found.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "TMPDIR")


class ForkServerGone(Exception):  # noqa: N818 - named after what happened
    """The process has ended."""


@dataclass(frozen=True)
class Child:
    """A decoder that was forked: the socket to talk over, and the leash, whose closing kills it and which tells its end."""

    pid: int
    talk: socket.socket
    leash: socket.socket

    async def wait_status(self) -> int | None:
        """What waitpid says of its end; None if the fork server has gone before it could tell."""
        return await _told(self.leash)

    def close(self) -> None:
        self.talk.close()
        self.leash.close()


class ForkServer:
    """`python -m serving.decoding`. Not tied to an event loop."""

    def __init__(self, directory: Path | None) -> None:
        """Starts it; `directory` is where files go that must be kept whole, by default the system's."""
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                _command(theirs, directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(os.environ),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it can fork. Raises Unavailable where it ends before."""
        if not await asyncio.get_running_loop().sock_recv(self._control, 1):
            raise Unavailable(
                "decoders cannot be started; the service's operator finds the reason in its log"
            )

    async def fork(self) -> Child:
        """Raises ForkServerGone, and Unavailable where the system has no files or processes left."""
        with ExitStack() as sockets:
            try:
                talk, leash = self._ask(sockets)
            except ConnectionError as error:
                raise ForkServerGone from error
            except OSError as error:
                raise _no_decoder() from error
            pid = await _told(leash)
            if pid is None:
                raise ForkServerGone
            if pid == NOT_FORKED:
                raise _no_decoder()
            sockets.pop_all()
            return Child(pid, talk, leash)

    def _ask(self, sockets: ExitStack) -> tuple[socket.socket, socket.socket]:
        talk, recording = map(sockets.enter_context, _pair())
        leash, held = map(sockets.enter_context, _pair())
        with recording, held:
            socket.send_fds(self._control, [b"f"], [recording.fileno(), held.fileno()])
        return talk, leash

    async def ended(self) -> int:
        """Wait for the process's end; gives its exit code."""
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_recv(self._control, 1)
        return await asyncio.to_thread(self.close)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> int:
        """End it, and its decoders; blocks until it has. Gives its exit code."""
        self._control.close()
        try:
            return self._process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _command(control: socket.socket, directory: Path | None) -> list[str]:
    where = [] if directory is None else [str(directory)]
    return [sys.executable, "-P", "-m", "serving.decoding", str(control.fileno()), *where]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """One thread only, even where NumPy is imported, for a process with more cannot be forked safely."""
    kept = {name: own[name] for name in _ENVIRONMENT if name in own}
    return kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _no_decoder() -> Unavailable:
    return Unavailable("no decoder could be started; try again shortly, or another replica")


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UPLOAD_BYTES)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DECODED_BYTES)
    return ours, theirs


async def _told(leash: socket.socket) -> int | None:
    """The next number that the leash brings; None once the fork server has gone."""
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < NUMBER.size:
        try:
            piece = await loop.sock_recv(leash, NUMBER.size - len(received))
        except ConnectionError:
            return None
        if not piece:
            return None
        received += piece
    return int(NUMBER.unpack(received)[0])
