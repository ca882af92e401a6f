"""A worker process with the real threads and pipes and no models: `COMMAND` in `ENVIRONMENT`.

Its networks hear what is written into the samples (`benchmarks.deterministic.written`), and do what a sample asks for, one of `Deed`.
"""

import enum
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.deterministic.written import GEOMETRY, WrittenNetworks
from diarization_service.answering import serve
from diarization_service.clustering import Mask
from diarization_service.counting import Integers
from diarization_service.mailbox import Inbox, Outbox, take_standard_output
from diarization_service.recording import Recording
from diarization_service.stages import Activity, Floats, MachineFailed, Windows
from serving.speakers import SpeakerBounds
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

COMMAND = (sys.executable, "-m", "support.diarization_worker")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
}

_FULL_SCALE = 32_768


class Deed(enum.IntEnum):
    """What a sample asks for; what people say is never positive."""

    CRASH = 1_000
    BUG = 1_001
    LOSE_THE_MACHINE = 1_002
    BE_SLOW = 1_003
    HEAR_NOTHING = 1_004


def asking(deed: Deed, length: float = 1.0) -> bytes:
    """A recording of so many seconds, each of which asks for the deed."""
    second = np.zeros(16_000, "<i2")
    second[0] = deed
    return np.tile(second, round(length)).tobytes()


class ObedientNetworks(WrittenNetworks):
    """Does what the loudest sample of the windows asks for."""

    def segment(self, windows: Windows) -> Activity:
        print("noise on standard output", flush=True)  # noqa: T201  must not get between the frames
        os.write(1, b"and from C\n")
        asked = round(float(windows.samples.max()) * _FULL_SCALE)
        if asked > 0:
            obey(Deed(asked))
        return super().segment(replace(windows, samples=np.minimum(windows.samples, 0)))


def obey(deed: Deed) -> None:
    match deed:
        case Deed.CRASH:
            os._exit(9)
        case Deed.BUG:
            raise ValueError("a secret of the inside")
        case Deed.LOSE_THE_MACHINE:
            raise MachineFailed("out of memory")
        case Deed.BE_SLOW:
            time.sleep(0.5)
        case Deed.HEAR_NOTHING:
            time.sleep(1000)


class KnownVoices:
    """Early clustering for those who know everybody's voice."""

    def __init__(self) -> None:
        self._labels = np.zeros(0, np.int64)

    def add(self, embeddings: Floats, clean: Mask) -> None:
        self._labels = np.concatenate([self._labels, np.argmax(np.nan_to_num(embeddings), axis=1)])

    def labels(self) -> Integers:
        return self._labels


def recording(bounds: SpeakerBounds) -> Recording:
    return Recording(GEOMETRY, bounds, KnownVoices())


if __name__ == "__main__":
    outbox = Outbox(take_standard_output())
    if sys.argv[1:] == ["--broken"]:
        sys.exit(1)
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    description = DescribeDiarizationResponse(early_turns=True)
    try:
        serve(ObedientNetworks(), recording, description, inbox, outbox)
    except MachineFailed:
        os._exit(1)
