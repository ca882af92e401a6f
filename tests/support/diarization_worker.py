"""A worker process with the real loop and pipes and no models: `python tests/support/diarization_worker.py`.

What it does with a recording is told by the recording's first sample, one of `Deed`.
"""

import enum
import os
import sys
import time
from typing import Any

from diarization_service.answering import serve
from diarization_service.mailbox import Inbox, Outbox, take_standard_output
from diarization_service.stages import MachineFailed
from diarization_service.turns import Diarization, diarization
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse


class Deed(enum.IntEnum):
    """What the first sample asks for."""

    ANSWER = 1
    CRASH = 2
    BUG = 3
    LOSE_THE_MACHINE = 4
    WORK_FOR_EVER = 5
    HEAR_NOTHING = 6


def diarize(samples: Any, bounds: Any, hook: Any) -> Diarization:
    print("noise on standard output", flush=True)  # noqa: T201  must not get between the frames
    os.write(1, b"and from C\n")
    hook("segmentation", 1, 2)
    match Deed(round(samples[0] * 32_768)):
        case Deed.CRASH:
            os._exit(9)
        case Deed.BUG:
            raise ValueError("a secret of the inside")
        case Deed.LOSE_THE_MACHINE:
            raise MachineFailed("out of memory")
        case Deed.WORK_FOR_EVER:
            while True:
                time.sleep(0.01)
                hook("embeddings", 0, 1)
        case Deed.HEAR_NOTHING:
            time.sleep(1000)
    seconds = len(samples) / 16_000
    return diarization([(0, seconds / 2, "b"), (seconds / 2, seconds, "a")], [], len(samples))


if __name__ == "__main__":
    outbox = Outbox(take_standard_output())
    if sys.argv[1:] == ["--broken"]:
        sys.exit(1)
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    serve(diarize, DescribeDiarizationResponse(early_turns=False), inbox, outbox)
