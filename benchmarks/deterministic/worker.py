"""The process that computes for `benchmarks.deterministic.diarization`: `python -m benchmarks.deterministic.worker SECONDS`."""

import sys
import time
from dataclasses import replace
from typing import NoReturn

import numpy as np

from benchmarks.deterministic.written import GEOMETRY, WRITTEN, WrittenNetworks
from diarization_service.answering import serve
from diarization_service.early import EarlyClustering
from diarization_service.mailbox import Inbox, Outbox, take_standard_output
from diarization_service.recording import Recording
from diarization_service.stages import Activity, Block, Floats, Windows
from serving.models.roles import EMBEDDING, SEGMENTATION
from serving.speakers import SpeakerBounds
from serving.times import duration
from speech.audio.v1.audio_pb2 import ModelInfo
from speech.diarization.v1.diarization_pb2 import DescribeDiarizationResponse

ENGINE = "deterministic"

_FULL_SCALE = 32_768


class DeterministicNetworks(WrittenNetworks):
    """Hears what is written below the noise of `recordings`, and takes `compute_seconds` for a window, of which a second is new."""

    def __init__(self, compute_seconds: float) -> None:
        super().__init__()
        self._compute_seconds = compute_seconds

    def segment(self, windows: Windows) -> Activity:
        time.sleep(self._compute_seconds * len(windows))
        return super().segment(replace(windows, samples=_without_noise(windows.samples)))

    def embed(self, blocks: list[Block]) -> list[Floats]:
        quiet = [replace(block, samples=_without_noise(block.samples)) for block in blocks]
        return super().embed(quiet)


def _without_noise(samples: Floats) -> Floats:
    written = -np.rint(samples * _FULL_SCALE) % WRITTEN
    return (-written / _FULL_SCALE).astype(np.float32)


def main() -> NoReturn:
    networks = DeterministicNetworks(float(sys.argv[1]))
    outbox = Outbox(take_standard_output())
    inbox = Inbox(sys.stdin.buffer)
    inbox.start()
    serve(networks, _recording, _description(), inbox, outbox)


def _recording(bounds: SpeakerBounds) -> Recording:
    return Recording(GEOMETRY, bounds, EarlyClustering(bounds, GEOMETRY.dimension))


def _description() -> DescribeDiarizationResponse:
    return DescribeDiarizationResponse(
        models=[
            ModelInfo(role=role.name, engine=ENGINE, provider="cpu") for role in (SEGMENTATION, EMBEDDING)
        ],
        early_turns=True,
        resolution=duration(GEOMETRY.frame_step),
        mode="exact",
    )


if __name__ == "__main__":
    main()
