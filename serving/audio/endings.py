"""What the end of a decoder's process says about its recording."""

import os
import signal
from typing import Literal, TypeAlias

from serving import logs
from serving.decoding.bounds import Bounds
from serving.errors import DuoscribeError, InvalidAudio, Unavailable

Cause: TypeAlias = Literal["cpu_time", "killed", "crashed", "lost", "hung", "garbled"]

_log = logs.get_logger(__name__)


def cause(wait_status: int | None) -> Cause:
    """Why a decoder ended before it had said how it went; `wait_status` as for `early_end`."""
    if wait_status is None:
        return "lost"
    match -os.waitstatus_to_exitcode(wait_status):
        case signal.SIGXCPU:
            return "cpu_time"
        case signal.SIGKILL | signal.SIGTERM:
            return "killed"
        case _:
            return "crashed"


def early_end(wait_status: int | None, bounds: Bounds) -> DuoscribeError:
    """The error of a recording whose decoder ended before it had said how it went.

    `wait_status` is what waitpid says, None where nobody was left to ask.
    """
    if wait_status is None:
        return Unavailable("the decoder of this recording was lost; send it again, or to another replica")
    code = os.waitstatus_to_exitcode(wait_status)
    name = signal.Signals(-code).name if code < 0 else None
    _log.warning("a decoder ended early", exit_code=code, signal=name)
    if name == "SIGXCPU":
        return InvalidAudio(
            f"the recording takes more computing than the {bounds.decoder_cpu_seconds:g} s of CPU time and "
            f"{bounds.decoder_cpu_ratio:g} s for each second of its sound that decoding may take; convert it to WAV or FLAC"
        )
    # The kernel's, where memory runs out, or an operator's.
    if name in {"SIGKILL", "SIGTERM"}:
        return Unavailable(
            "the decoder of this recording was killed from outside; send it again, or to another replica"
        )
    return InvalidAudio("the recording breaks the decoder; convert it to WAV or FLAC, or send an intact copy")
