"""What a decoder gives up before it looks at a recording.

Limits are the kernel's, so they hold within FFmpeg too. Linux knows all of them; where a system does not, it does without.
"""

import ctypes
import math
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from serving.decoding.bounds import Bounds

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# Standard input, output and error, the service, a temporary file, and some that Python opens for a moment.
_MAX_FILES = 16
# A third of the weight of the service, where both want a core: it answers everybody, this process decodes for one.
_NICER_BY = 5

_libc = ctypes.CDLL(None)


def isolate(connection: socket.socket, parent: int) -> None:
    """Keep nothing of the parent's but the connection, and end with it. Called right after the fork."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked for its signal
        raise ConnectionError("the fork server has gone")
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What it may print must not pass for the service's log.
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))


def confine(bounds: Bounds) -> None:
    """Set the limits and give way to the service; CPU time is `CpuTime`'s."""
    os.nice(_NICER_BY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_FILES)
    _limit(resource.RLIMIT_FSIZE, bounds.max_upload_bytes)
    taken = _data_bytes()
    if taken is not None:
        _limit(resource.RLIMIT_DATA, taken + bounds.decoder_memory_bytes)
    with suppress(OSError):
        # Where memory runs out all the same, the kernel takes a decoder first, and not the service.
        Path("/proc/self/oom_score_adj").write_text("1000")


class CpuTime:
    """CPU time is granted with the sound that comes out; when it is used up the kernel ends the process by SIGXCPU."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._most = math.ceil(bounds.cpu_seconds(bounds.max_audio_seconds)) + 1
        self._granted = 0

    def grant(self, audio_seconds: float) -> None:
        """For so much sound since the recording's start."""
        seconds = max(1, math.ceil(self._bounds.cpu_seconds(audio_seconds)))
        if seconds > self._granted:
            self._granted = seconds
            _set(resource.RLIMIT_CPU, seconds, self._most)


def _limit(what: int, highest: int) -> None:
    """For good, and no higher than it is already."""
    present = [limit for limit in resource.getrlimit(what) if limit != resource.RLIM_INFINITY]
    limit = min([highest, *present])
    _set(what, limit, limit)


def _set(what: int, soft: int, hard: int) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (soft, hard))


def _data_bytes() -> int | None:
    """Memory of this process that RLIMIT_DATA counts, if the system says."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)
